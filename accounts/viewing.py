"""Seeing the native API as a customer's user sees it: read only, for a while, told in the event log.

It lies in the session of who looks. Their own session authenticates them still; the view as whom they look is put in
its place with the scope of reading alone, so that the one rule that holds tokens back holds this back, too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.utils import timezone

from accounts import access
from accounts.models import Role, TokenScope, User
from accounts.services.told import record_of
from controlplane.core.errors import Forbidden, InvalidRequest

LASTS: Final = timedelta(minutes=30)
_KEY: Final = "viewing"


def begin(session: SessionBase, *, user: User, actor: User) -> None:
    """From now on `session` of `actor` sees what `user` sees. Raises Forbidden, InvalidRequest."""
    if not may_view(actor):
        raise Forbidden("Only who may read users sees as they do.")
    if user.role != Role.CUSTOMER or not user.is_active:
        raise InvalidRequest("One sees as an enabled user of a customer.")
    with transaction.atomic():
        record_of("user.viewed-as", user, actor)
    session[_KEY] = [user.pk, (timezone.now() + LASTS).timestamp()]


def end(session: SessionBase, *, actor: User) -> None:
    """See with one's own eyes again. Done twice, it is as done once."""
    user = viewed(session, actor)
    if session.pop(_KEY, None) is not None and user is not None:
        with transaction.atomic():
            record_of("user.viewed-no-more", user, actor)


def viewed(session: SessionBase, actor: User) -> User | None:
    """As whom `actor` sees now, with the scope of reading; None when they see as themselves."""
    found = session.get(_KEY)
    if found is None or found[1] < timezone.now().timestamp() or not may_view(actor):
        return None
    user = User.objects.select_related("customer").filter(pk=found[0], role=Role.CUSTOMER, is_active=True).first()
    if user is not None:
        user.scope = TokenScope.READ
    return user


def may_view(actor: User) -> bool:
    """May `actor` see as others do? Who may read every user."""
    return access.decide(actor, "users", access.READ).allowed
