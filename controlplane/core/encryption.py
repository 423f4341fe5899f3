"""Secrets at rest: Fernet with rotating keys (https://cryptography.io/en/latest/fernet/)."""

from __future__ import annotations

import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from controlplane.core.errors import ControlPlaneError


class SecretUnreadable(ControlPlaneError):
    """A stored secret cannot be read with the present ENCRYPTION_KEYS."""

    code = "SECRET_UNREADABLE"


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(value: dict[str, str]) -> str:
    """`value` as text that only the holder of a key can read; an empty mapping stays empty text.

    The first of ENCRYPTION_KEYS encrypts; all of them decrypt. Call it outside transactions.
    """
    if not value:
        return ""
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return _box(tuple(settings.ENCRYPTION_KEYS)).encrypt(plain).decode()


def decrypt(text: str) -> dict[str, str]:
    """What `encrypt` was given. Raises SecretUnreadable when no present key fits."""
    if not text:
        return {}
    try:
        value: dict[str, str] = json.loads(_box(tuple(settings.ENCRYPTION_KEYS)).decrypt(text.encode()))
    except InvalidToken as error:
        raise SecretUnreadable from error
    return value
