"""What services tell the event log, in the transaction of what they tell of."""

from __future__ import annotations

from accounts import events
from accounts.models import User


def record_of(kind: str, user: User, actor: User | None, before: object = None, after: object = None) -> None:
    """Put an event of a user into the log. Caller holds the transaction."""
    events.record([(kind, "user", user.pk, actor.pk if actor else None, user.customer_id, before, after)])
