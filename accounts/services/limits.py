"""What users may have: how many instances, which features; and their wishes for more, which staff decide on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import states
from accounts.errors import LimitRequestDecided, LimitRequestPending
from accounts.models import Feature, LimitChangeRequest, User
from accounts.services.told import record_of
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from controlplane.core.transitions import compare_and_set

HIGHEST: Final = 1_000_000
_NOTE_LENGTH: Final = 1024
_ASKED: Final = {"status": states.PENDING, "note": ""}


def check_limit(limit: int, field: str) -> None:
    """Raises InvalidRequest for what is no limit."""
    if not 0 <= limit <= HIGHEST:
        raise InvalidRequest(f"A limit is from 0 to {HIGHEST} instances.", field=field)


def check_features(features: Iterable[str]) -> list[str]:
    """`features` in their order, each once. Raises InvalidRequest for one that there is not."""
    wanted = set(features)
    if not wanted <= set(Feature.values):
        raise InvalidRequest(f"A feature is one of {', '.join(Feature.values)}.", field="allowed_features")
    return [each for each in Feature.values if each in wanted]


def set_instance_limit(user: User, limit: int, actor: User | None) -> None:
    """Let `user` have so many instances at a time. Caller holds the row and checked the limit."""
    if limit == user.instance_limit:
        return
    User.objects.filter(pk=user.pk).update(instance_limit=limit)
    record_of("user.limit-changed", user, actor, {"instance_limit": user.instance_limit}, {"instance_limit": limit})


def set_features(user: User, features: list[str], actor: User | None) -> None:
    """Let `user` use these features and no others. Caller holds the row and checked them."""
    before = user.allowed_features
    if features == before:
        return
    User.objects.filter(pk=user.pk).update(allowed_features=features)
    record_of("user.features-changed", user, actor, {"allowed_features": before}, {"allowed_features": features})


# --- Wishes ----------------------------------------------------------------------------------------


def request_limit(*, user: User, desired_limit: int, reason: str) -> LimitChangeRequest:
    """Note that `user` asks for more instances. Raises InvalidRequest, LimitRequestPending."""
    check_limit(desired_limit, "desired_limit")
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update().get(pk=user.pk)
            if desired_limit <= locked.instance_limit:
                message = f"The limit is {locked.instance_limit} already: ask for more than that."
                raise InvalidRequest(message, field="desired_limit")
            made = LimitChangeRequest.objects.create(
                user=locked, limit_then=locked.instance_limit, desired_limit=desired_limit, reason=reason
            )
            record_of("limit_request.made", locked, locked, after=_told(made))
    except IntegrityError as error:
        raise LimitRequestPending from error
    return made


def approve_limit(*, request: LimitChangeRequest, actor: User | None, note: str = "") -> None:
    """Give the user what they asked for, never less than staff gave them meanwhile. Raises LimitRequestDecided."""
    with transaction.atomic():
        user = _decide(request, states.APPROVED, actor, note)
        told = {**_told(request), "status": states.APPROVED, "note": note}
        set_instance_limit(user, max(user.instance_limit, request.desired_limit), actor)
        record_of("limit_request.approved", user, actor, _ASKED, told)


def reject_limit(*, request: LimitChangeRequest, actor: User | None, note: str = "") -> None:
    """Leave the user's limit as it is. Raises LimitRequestDecided."""
    with transaction.atomic():
        user = _decide(request, states.REJECTED, actor, note)
        told = {**_told(request), "status": states.REJECTED, "note": note}
        record_of("limit_request.rejected", user, actor, _ASKED, told)


def _decide(request: LimitChangeRequest, to: str, actor: User | None, note: str) -> User:
    """Move the request, have its user told, and return them, locked.

    The user is locked first, as where requests are made: those who hold one row and want the other would wait for
    each other.
    """
    if len(note) > _NOTE_LENGTH or "\0" in note:
        raise InvalidRequest(f"A note has at most {_NOTE_LENGTH} characters.", field="note")
    user = User.objects.select_for_update().get(pk=request.user_id)
    facts = {"decided_by": actor.pk if actor else None, "decided_at": timezone.now(), "note": note}
    if not compare_and_set(LimitChangeRequest, states.LIMIT_REQUEST, to, {request.pk: facts}, tuple(facts)):
        raise LimitRequestDecided
    enqueue("accounts.tasks.send_limit_decision", request_id=request.pk)
    return user


def withdraw_requests(user: User) -> None:
    """Decide on what waits of a user who goes. Caller holds the transaction and the user."""
    for request in LimitChangeRequest.objects.filter(user=user, status=states.PENDING):
        reject_limit(request=request, actor=user, note="The account was closed.")


def _told(request: LimitChangeRequest) -> dict[str, int]:
    return {"request": request.pk, "desired_limit": request.desired_limit}
