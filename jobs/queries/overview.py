"""What the front page says of jobs: what runs, what failed, how a day went, which holds were left standing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet, Sum
from django.utils import timezone

from controlplane.core import sets
from jobs import gates, overview_sql, states
from jobs.models import Hold, Job, LoadSample, Scope, ThroughputSample
from jobs.queries.waiting import Present
from jobtypes.models import JobType

FAILED: Final = (states.FAILED, states.REJECTED)
MOST_FAILED: Final = 10_000  # more than these are not counted
OLD_HOLD: Final = timedelta(days=1)


@dataclass(slots=True)
class Active:
    """How many jobs of a kind are active at a place in a status, and the vCPUs that they have there."""

    place_id: int
    shape: str
    job_type_id: int | None
    job_type: str | None
    status: str
    jobs: int
    vcpus_milli: int


def active_by_kind(present: Present) -> list[Active]:
    """What is active, by place, kind and status."""
    active = present.active
    types = {each.job_type_id for each in active if each.job_type_id is not None}
    known = JobType.objects.filter(sets.among("id", list(types), JobType)).values_list("pk", "name", "version")
    names = {pk: f"{name} {version}" for pk, name, version in known} if types else {}
    found: dict[tuple[object, ...], Active] = {}
    for each in active:
        key = (each.place_id, each.shape, each.job_type_id, each.status)
        name = None if each.job_type_id is None else names[each.job_type_id]
        row = found.setdefault(key, Active(*key[:3], name, each.status, 0, 0))
        row.jobs += each.jobs
        row.vcpus_milli += each.vcpus_milli
    return list(found.values())


def failed_by_category(since: datetime) -> dict[str, int]:
    """Jobs that failed, and changed last at or after `since`, by their error's category.

    When they come to more than MOST_FAILED, only as many were looked at.
    """
    return overview_sql.failed_since(since, MOST_FAILED + 1)


@dataclass(frozen=True, slots=True)
class Oldest:
    """The job that has waited longest in line."""

    job_id: int
    queued_at: datetime


def oldest_waiting(present: Present) -> Oldest | None:
    """The job that was queued first; of a long line, the first one of the lane that had it, if that has started."""
    first = min(present.lanes, key=lambda each: each.line.since, default=None)
    if first is None:
        return None
    rows = Job.objects.filter(lane=first.lane.id, status=states.QUEUED).only("queued_at")
    found = rows.filter(queued_at=first.line.since).order_by("id").first() or rows.filter(pk=first.first).first()
    return Oldest(found.pk, found.queued_at) if found is not None and found.queued_at is not None else None


def old_holds() -> QuerySet[Hold]:
    """Holds over more than one job that somebody set, and that have stood for longer than OLD_HOLD."""
    rows = Hold.objects.filter(since__lte=timezone.now() - OLD_HOLD)
    return rows.filter(scope__in=[each for each in Scope.values if each != Scope.JOB]).exclude(code=gates.BUDGET)


def load_since(since: datetime) -> list[tuple[datetime, int, int]]:
    """(Minute, how many jobs waited, how many ran); a minute without a row had none, or nobody looked."""
    rows = LoadSample.objects.filter(at__gte=since).order_by("at")
    return [
        (at, pending + queued, run)
        for at, pending, queued, run in rows.values_list("at", "pending", "queued", "running")
    ]


def throughput_since(since: datetime) -> list[tuple[datetime, str, int]]:
    """(Beginning of five minutes, status, how many jobs came to it then)."""
    rows = ThroughputSample.objects.filter(at__gte=since).values_list("at", "status")
    return list(rows.annotate(jobs=Sum("number")).order_by("at", "status"))
