"""Invitations: made and revoked by staff, used up by those who sign up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import addresses, events, queries
from accounts.errors import InvitationRevoked
from accounts.models import Invitation, User
from accounts.services.limits import check_features, check_limit
from controlplane.core.errors import InvalidRequest

MOST_USES: Final = 100_000


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation and its token, which is kept nowhere."""

    row: Invitation
    token: str


def create_invitation(
    *,
    name: str,
    expires_at: datetime,
    actor: User | None,
    note: str = "",
    uses_allowed: int = 1,
    email: str | None = None,
    instance_limit: int | None = None,
    allowed_features: Sequence[str] = (),
) -> NewInvitation:
    """A new invitation. It is handed over by whoever makes it: a mail would lie in the queue, token and all.

    Raises InvalidRequest.
    """
    if not name.strip() or len(name) > 128 or not name.isprintable():
        raise InvalidRequest("The name of an invitation has 1 to 128 printable characters.", field="name")
    if len(note) > 255 or "\0" in note:
        raise InvalidRequest("A note has at most 255 characters.", field="note")
    if not 1 <= uses_allowed <= MOST_USES:
        raise InvalidRequest(f"An invitation can be used 1 to {MOST_USES} times.", field="uses_allowed")
    if expires_at <= timezone.now():
        raise InvalidRequest("An invitation expires in the future.", field="expires_at")
    if instance_limit is not None:
        check_limit(instance_limit, "instance_limit")
    token = queries.new_secret()
    facts: dict[str, Any] = {
        "name": name,
        "prefix": token[: queries.TOKEN_PREFIX_LENGTH],
        "email": addresses.readable(email) if email else None,
        "uses_allowed": uses_allowed,
        "instance_limit": instance_limit,
        "allowed_features": check_features(allowed_features),
    }
    with transaction.atomic():
        row = Invitation.objects.create(
            **facts, note=note, digest=queries.digest(token), created_by=actor, expires_at=expires_at
        )
        events.tell("invitation.made", row.pk, actor, facts_of_invitation(row))
    return NewInvitation(row, token)


def revoke_invitation(*, invitation: Invitation, actor: User | None) -> None:
    """Let nobody sign up by it from now on. Raises InvitationRevoked."""
    with transaction.atomic():
        rows = Invitation.objects.filter(pk=invitation.pk, revoked_at__isnull=True)
        if not rows.update(revoked_at=timezone.now()):
            raise InvitationRevoked
        after = {"name": invitation.name, "prefix": invitation.prefix, "is_revoked": True}
        events.tell("invitation.revoked", invitation.pk, actor, after, before={"is_revoked": False})


def facts_of_invitation(row: Invitation) -> dict[str, Any]:
    """What may be said of an invitation, as the event log has it."""
    names = ("name", "note", "prefix", "email", "uses_allowed", "instance_limit", "allowed_features")
    told = {name: getattr(row, name) for name in names}
    return {**told, "expires_at": row.expires_at.isoformat(), "is_revoked": row.revoked_at is not None}


def invitation_of(token: str) -> Invitation | None:
    """The invitation whose token this is, also when nobody may use it any more.

    Found by the digest in a unique index, so how long it takes tells nothing of any stored token.
    """
    return Invitation.objects.filter(digest=queries.digest(token)).first()


def admits(invitation: Invitation, email: str) -> bool:
    """May whoever has this address sign up by it, as it was when it was read?"""
    return (
        invitation.revoked_at is None
        and invitation.expires_at > timezone.now()
        and invitation.uses < invitation.uses_allowed
        and invitation.email in (None, addresses.normalised(email))
    )


def use_up(invitation: Invitation) -> bool:
    """Take one of its uses, if it has one left now. Caller holds the transaction that makes the account.

    One guarded statement: of two who take the last at once, one waits for the other and finds none.
    """
    return bool(_live().filter(pk=invitation.pk).update(uses=F("uses") + 1))


def _live() -> QuerySet[Invitation]:
    left = Q(uses__lt=F("uses_allowed"))
    return Invitation.objects.filter(left, revoked_at__isnull=True, expires_at__gt=timezone.now())
