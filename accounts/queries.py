"""Reads of accounts."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection
from django.utils import timezone

from accounts.models import User
from controlplane.core import sets
from controlplane.core.remembered import Remembered

TOKEN_PREFIX_LENGTH = 8


def new_secret() -> str:
    """A token of 256 random bits, in URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256. A fast digest is right for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_USER_FIELDS: Final = [field.attname for field in User._meta.concrete_fields]
_USER_OF_TOKEN: Final = f"""
SELECT {", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)}
FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id
WHERE t.digest = %s AND t.archived_at IS NULL AND u.is_active AND (t.expires_at IS NULL OR t.expires_at > %s)
"""  # noqa: S608 - the names are the model's


def user_of_token(token: str) -> User | None:
    """The enabled user whose live token this is, else None.

    Found by the digest in a unique index, so how long it takes tells nothing of any stored token. One
    statement of ours, since it stands before every request's work: the ORM's would cost more than the
    submit of a job.
    """
    parameters = [digest(token), timezone.now()]
    try:
        rows = sets.run(_USER_OF_TOKEN, parameters)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        # The first statement of a request finds out that the database was restarted; one more try mends it.
        connection.close()
        rows = sets.run(_USER_OF_TOKEN, parameters)
    return _user_in(rows)


def _user_in(rows: list[tuple[Any, ...]]) -> User | None:
    """The user that _USER_OF_TOKEN found."""
    return User.from_db(DEFAULT_DB_ALIAS, _USER_FIELDS, sets.from_database(User, rows[0])) if rows else None


_users: Remembered[str, User] = Remembered(limit=2_000)


def remember_user(token: str, user: User) -> None:
    """Keep in this process whose token this was: for who checks it again, in the statement of its work."""
    _users.keep(digest(token), user)


def remembered_user(token: str) -> User | None:
    """Whose token this was when this process last saw it. It may not be so any more."""
    return _users.get(digest(token))


def is_token_of(token_digest: str, user: User) -> bool:
    """Is this the digest of a live token of `user`, enabled and in the role they have here?"""
    now = _user_in(sets.run(_USER_OF_TOKEN, [token_digest, timezone.now()]))
    return now is not None and (now.pk, now.role) == (user.pk, user.role)


def find_user(username: str) -> User | None:
    return User.objects.filter(username=username).first()
