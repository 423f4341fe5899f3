"""E-mail addresses: when two are the same, and which can be had."""

from __future__ import annotations

import unicodedata
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from controlplane.core.errors import InvalidRequest

# Who signs up is called by their address, and a user name has room for so much.
LONGEST: Final = 150


def normalised(address: str) -> str:
    """`address` as it is kept and compared: in one form of Unicode (NFKC), in small letters."""
    return unicodedata.normalize("NFKC", address).lower()


def readable(address: str) -> str:
    """`address`, normalised, which mail can be sent to. Raises InvalidRequest."""
    found = normalised(address)
    try:
        validate_email(found)
    except ValidationError as error:
        raise InvalidRequest("This is no e-mail address.", field="email") from error
    if len(found) > LONGEST or not found.isprintable():
        raise InvalidRequest(f"An e-mail address has at most {LONGEST} characters.", field="email")
    return found
