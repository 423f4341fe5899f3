"""Google's word on who somebody is: an ID token, checked against Google's keys."""

from __future__ import annotations

from typing import Any, Final

import urllib3
from django.conf import settings
from google.auth import exceptions, jwt
from google.auth.transport import urllib3 as carrier
from google.oauth2 import id_token

from accounts.errors import InvalidCredential
from accounts.services.google import Claims
from controlplane.core.errors import Unavailable

_KEYS: Final = urllib3.PoolManager(timeout=urllib3.Timeout(10), retries=urllib3.Retry(1, redirect=0))
_REFUSED: Final = (ValueError, KeyError, TypeError, AttributeError, exceptions.GoogleAuthError)


def transport() -> Any:
    """What fetches Google's keys. Tests put their own in its place."""
    return carrier.Request(_KEYS)  # type: ignore[no-untyped-call]


def read_credential(credential: str) -> Claims:
    """Whom an ID token made for us speaks of: signature, audience, issuer, expiry and verified address hold.

    Raises InvalidCredential, also where no GOOGLE_CLIENT_ID is set; Unavailable when Google's keys cannot be had.
    """
    if not settings.GOOGLE_CLIENT_ID:
        raise InvalidCredential("Signing in with Google is not set up here.")
    try:
        jwt.decode_header(credential)  # type: ignore[no-untyped-call] # what is no token is not worth a call
        told = id_token.verify_oauth2_token(credential, transport(), settings.GOOGLE_CLIENT_ID, 10)  # type: ignore[no-untyped-call]
    except exceptions.TransportError as error:
        raise Unavailable("Google's keys cannot be had just now.") from error
    except _REFUSED as error:
        raise InvalidCredential from error
    subject, email = told.get("sub"), told.get("email")
    if not (isinstance(subject, str) and 0 < len(subject) <= 255 and isinstance(email, str)):
        raise InvalidCredential
    if told.get("email_verified") is not True:
        raise InvalidCredential("Google has not verified this e-mail address.")
    return Claims(subject, email)
