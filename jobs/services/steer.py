"""Steering jobs that wait."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from controlplane.core import sets
from jobs import states
from jobs.models import Job
from jobs.services.told import tell_of_jobs


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
