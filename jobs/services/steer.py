"""Steering jobs that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import events
from accounts.models import User
from controlplane.core import sets
from jobs import states
from jobs.models import Job

# What an event says of a job: its customer's id, how it was before, how it is after.
Change = tuple[int, object, object]


def set_priority(ids: Sequence[int], *, priority: int, actor: User | None) -> list[int]:
    """Give waiting jobs another priority; smaller runs first. Returns the ids that wait and so were changed."""
    with transaction.atomic():
        rows = waiting(ids).values_list("id", "customer_id", "priority")
        found = {job_id: (customer_id, before) for job_id, customer_id, before in rows}
        changed = Job.objects.filter(sets.among("id", list(found), Job))
        changed.update(priority=priority, modified_at=timezone.now())
        tell_of_jobs(
            "job.priority-changed",
            {i: (customer, {"priority": before}, {"priority": priority}) for i, (customer, before) in found.items()},
            actor,
        )
    return list(found)


def waiting(ids: Sequence[int]) -> QuerySet[Job]:
    """Those of the jobs that wait, locked in the order of their ids. Caller holds a transaction."""
    jobs = Job.objects.filter(sets.among("id", list(ids), Job), status__in=states.WAITING)
    return jobs.select_for_update(of=("self",)).order_by("id")


def tell_of_jobs(kind: str, changes: Mapping[int, Change], actor: User | None) -> None:
    """Put one event for each job into the log."""
    by = actor.pk if actor else None
    told = changes.items()
    events.record([(kind, "job", i, by, customer, before, after) for i, (customer, before, after) in told])
