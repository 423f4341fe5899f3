"""What services tell the event log, in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Mapping

from accounts import events
from accounts.models import User

# What an event says of a job: its customer's id, how it was before, how it is after.
Change = tuple[int, object, object]


def tell_of_jobs(kind: str, changes: Mapping[int, Change], actor: User | None) -> None:
    """Put one event for each job into the log."""
    by = actor.pk if actor else None
    told = changes.items()
    events.record([(kind, "job", i, by, customer, before, after) for i, (customer, before, after) in told])
