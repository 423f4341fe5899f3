"""What services tell the event log, in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Mapping

from accounts import events
from accounts.models import User

# What an event says of a job: its customer's id, how it was before, how it is after.
Change = tuple[int, object, object]


def tell(kind: str, subject_id: int, actor: User | None, after: object, *, before: object = None) -> None:
    """Put one event into the log; the first word of `kind` ("hold.placed") names the kind of its subject."""
    events.record([(kind, kind.split(".")[0], subject_id, actor.pk if actor else None, None, before, after)])


def tell_of_jobs(kind: str, changes: Mapping[int, Change], actor: User | None) -> None:
    """Put one event for each job into the log."""
    by = actor.pk if actor else None
    told = changes.items()
    events.record([(kind, "job", i, by, customer, before, after) for i, (customer, before, after) in told])
