"""Tokens."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import queries
from accounts.errors import UserState
from accounts.models import ApiToken, User
from accounts.services.told import record_of
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered

logger = logging.getLogger("controlplane.accounts")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and its text, which is kept nowhere."""

    row: ApiToken
    secret: str


def create_token(*, user: User, actor: User | None, name: str = "", expires_at: datetime | None = None) -> NewToken:
    """A new token of `user`. Raises UserState when the user is disabled, InvalidRequest."""
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("A token expires in the future.", field="expires")
    secret = queries.new_secret()
    with transaction.atomic():
        if not User.objects.select_for_update().filter(pk=user.pk, is_active=True).exists():
            raise UserState(f"{user.username} is disabled.")
        prefix = secret[: queries.TOKEN_PREFIX_LENGTH]
        digest = queries.digest(secret)
        row = ApiToken.objects.create(user=user, name=name, prefix=prefix, digest=digest, expires_at=expires_at)
        record_of("token.issued", user, actor, after={"prefix": prefix, "name": name})
    return NewToken(row, secret)


def issue_token(*, user: User, actor: User | None, name: str = "") -> str:
    """The text of a new token of `user`, returned this once. Raises UserState when the user is disabled."""
    return create_token(user=user, actor=actor, name=name).secret


def archive_token(*, token: ApiToken, actor: User | None) -> None:
    """Refuse `token` from now on. An archived one stays as it is."""
    with transaction.atomic():
        live = ApiToken.objects.filter(pk=token.pk, archived_at__isnull=True)
        if live.update(archived_at=timezone.now()):
            record_of("token.revoked", token.user, actor, after={"prefix": token.prefix, "name": token.name})


def revoke_tokens(*, user: User, actor: User | None) -> int:
    """Archive every live token of `user`; they are refused from now on."""
    with transaction.atomic():
        count = ApiToken.objects.filter(user=user, archived_at__isnull=True).update(archived_at=timezone.now())
        if count:
            record_of("token.revoked", user, actor, after={"tokens": count})
    return count


NOTED_EVERY: Final = timedelta(minutes=1)
_noted: Remembered[str, float] = Remembered(limit=20_000)


def note_use(token: str) -> None:
    """Note that `token` was used: once a minute at most, which this process knows without asking.

    Nothing waits for it: a use that cannot be noted is lost, not refused.
    """
    digest, now = queries.digest(token), time.monotonic()
    if digest in _noted and now - _noted[digest] < NOTED_EVERY.total_seconds():
        return
    _noted.put(digest, now)
    moment = timezone.now()
    due = Q(last_used_at=None) | Q(last_used_at__lt=moment - NOTED_EVERY)
    try:
        ApiToken.objects.filter(due, digest=digest).update(last_used_at=moment)
    except DatabaseError:
        logger.warning("The use of a token could not be noted.", exc_info=True)


def regenerate_token(*, username: str, actor: User | None) -> str:
    """Replace every token of a user by one new token. Raises UserNotFound, UserState."""
    user = queries.user_called(username)
    with transaction.atomic():
        revoke_tokens(user=user, actor=actor)
        return issue_token(user=user, actor=actor)
