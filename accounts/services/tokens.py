"""Tokens."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import queries
from accounts.errors import UserState
from accounts.models import ApiToken, TokenScope, User
from accounts.services.told import record_of
from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered

logger = logging.getLogger("controlplane.accounts")
# Of a token from elsewhere: a digest without salt hides no word that can be guessed.
SHORTEST_IMPORTED, LONGEST_IMPORTED = 20, 512
MOST_NAMED: Final = 100  # of the tokens that go at once
IMPORTABLE: Final = re.compile(rf"[!-~]{{{SHORTEST_IMPORTED},{LONGEST_IMPORTED}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and its text, which is kept nowhere."""

    row: ApiToken
    secret: str


def create_token(
    *,
    user: User,
    actor: User | None,
    name: str = "",
    scope: str = TokenScope.ADMIN,
    expires_at: datetime | None = None,
) -> NewToken:
    """A new token of `user`. Raises UserState when the user is disabled, InvalidRequest."""
    secret = queries.new_secret()
    return NewToken(_keep(secret, "token.issued", user, actor, name, scope, expires_at), secret)


def import_token(
    secret: str, *, user: User, name: str = "", scope: str = TokenScope.ADMIN, expires_at: datetime | None = None
) -> ApiToken:
    """Take over a token that another system gave out, so that its clients keep it.

    Raises UserState when the user is disabled, InvalidRequest for what is not like a token or is one already.
    """
    check_importable(secret)
    try:
        return _keep(secret, "token.imported", user, None, name, scope, expires_at)
    except IntegrityError as error:
        raise InvalidRequest("This token is known here already.", field="token") from error


def check_importable(secret: str) -> None:
    """Raise InvalidRequest for what is not like a token."""
    if not IMPORTABLE.fullmatch(secret):
        raise InvalidRequest(
            f"A token has {SHORTEST_IMPORTED} to {LONGEST_IMPORTED} visible characters of ASCII and no blank.",
            field="token",
        )


def _keep(
    secret: str, kind: str, user: User, actor: User | None, name: str, scope: str, expires_at: datetime | None
) -> ApiToken:
    """The row of a token: its digest, and how it begins."""
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("A token expires in the future.", field="expires")
    if scope not in TokenScope.values:
        raise InvalidRequest(f"This is one of {', '.join(TokenScope.values)}.", field="scope")
    prefix = secret[: queries.TOKEN_PREFIX_LENGTH]
    row = ApiToken(user=user, name=name, scope=scope, prefix=prefix, digest=queries.digest(secret))
    row.expires_at = expires_at
    with transaction.atomic():
        if not User.objects.select_for_update().filter(pk=user.pk, is_active=True).exists():
            raise UserState(f"{user.username} is disabled.")
        row.save(force_insert=True)
        record_of(kind, user, actor, after=facts_of_token(row))
    return row


def issue_token(*, user: User, actor: User | None, name: str = "") -> str:
    """The text of a new token of `user`, returned this once. Raises UserState when the user is disabled."""
    return create_token(user=user, actor=actor, name=name).secret


def archive_token(*, token: ApiToken, actor: User | None) -> None:
    """Refuse `token` from now on. An archived one stays as it is."""
    with transaction.atomic():
        live = ApiToken.objects.filter(pk=token.pk, archived_at__isnull=True)
        if live.update(archived_at=timezone.now()):
            told = {"prefix": token.prefix, "name": token.name, "is_archived": True}
            record_of("token.revoked", token.user, actor, {"is_archived": False}, told)


def revoke_tokens(*, user: User, actor: User | None) -> int:
    """Archive every live token of `user`; they are refused from now on."""
    with transaction.atomic():
        rows = ApiToken.objects.select_for_update().filter(user=user, archived_at__isnull=True).order_by("pk")
        prefixes = dict(rows.values_list("pk", "prefix"))
        if prefixes:
            live = ApiToken.objects.filter(sets.among("id", list(prefixes), ApiToken))
            live.update(archived_at=timezone.now())
            told = {"tokens": len(prefixes), "prefixes": list(prefixes.values())[:MOST_NAMED], "is_archived": True}
            record_of("token.revoked", user, actor, {"is_archived": False}, told)
    return len(prefixes)


def facts_of_token(token: ApiToken) -> dict[str, Any]:
    """What may be said of a token, as the event log has it."""
    return {
        "prefix": token.prefix,
        "name": token.name,
        "scope": token.scope,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
        "is_archived": token.archived_at is not None,
    }


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
