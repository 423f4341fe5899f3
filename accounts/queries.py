"""Reads of accounts."""

from __future__ import annotations

import hashlib
import secrets

from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, User

TOKEN_PREFIX_LENGTH = 8


def new_secret() -> str:
    """A token of 256 random bits, in URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256. A fast digest is right for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def user_of_token(token: str) -> User | None:
    """The enabled user whose live token this is, else None.

    Found by the digest in a unique index, so how long it takes tells nothing of any stored token.
    """
    live = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    found = (
        ApiToken.objects.select_related("user")
        .filter(live, digest=digest(token), archived_at__isnull=True, user__is_active=True)
        .first()
    )
    return found.user if found else None


def find_user(username: str) -> User | None:
    return User.objects.filter(username=username).first()
