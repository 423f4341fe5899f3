"""What the front page says of jobs: what runs, what failed, how a day went, which holds were left standing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet, Sum
from django.utils import timezone

from jobs import gates, overview_sql, states
from jobs.models import Hold, Job, LoadSample, Scope, ThroughputSample
from jobs.overview_sql import Active
from jobs.queries.waiting import WaitingLane

FAILED: Final = (states.FAILED, states.REJECTED)
MOST_FAILED: Final = 10_000  # more than these are not counted
OLD_HOLD: Final = timedelta(days=1)


def active_by_kind() -> list[Active]:
    """What is active, by place, kind and status. Costs what is active."""
    return overview_sql.active()


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


def oldest_waiting(lanes: Iterable[WaitingLane]) -> Oldest | None:
    """Of what waiting_lanes says: the job that was queued first."""
    first = min(lanes, key=lambda each: each.line.oldest, default=None)
    if first is None:
        return None
    rows = Job.objects.filter(lane=first.lane.id, status=states.QUEUED, queued_at=first.line.oldest)
    job_id = rows.order_by("id").values_list("pk", flat=True).first()
    return Oldest(job_id, first.line.oldest) if job_id is not None else None


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
