"""How many jobs wait, run and have come to an end, noted from time to time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from jobs import alive_sql, overview_sql, states
from jobs.models import Job, LoadSample, Shape, ThroughputSample
from jobs.overview_sql import SPAN_SECONDS

CAUGHT_UP: Final = timedelta(hours=24)  # further back nothing is counted that was missed


def sample_load() -> LoadSample | None:
    """Note how many jobs there are of each kind now; None when there are none, as at the last look."""
    alive = Job.objects.filter(status__in=(*states.WAITING, *states.ACTIVE)).order_by()
    # Two questions, each with an index of its own. A MapReduce job is there as its tasks.
    jobs = alive.filter(parent__isnull=True).exclude(shape=Shape.MAPREDUCE)
    tasks = alive.filter(parent__isnull=False).exclude(status=states.COMPLETED)
    counts: dict[str, int] = {}
    for rows in (jobs, tasks):
        for status, number in rows.values_list("status").annotate(number=Count("pk")):
            shown = states.SHOWN[status]
            counts[shown] = counts.get(shown, 0) + number
    values = {
        "pending": counts.get(states.PENDING, 0) + counts.get(states.BLOCKED, 0),
        "queued": counts.get(states.QUEUED, 0),
        "running": counts.get(states.RUNNING, 0),
    }
    last = LoadSample.objects.order_by("-at").first()
    if not any(values.values()) and (last is None or not (last.pending or last.queued or last.running)):
        return None
    at = timezone.now().replace(second=0, microsecond=0)
    return LoadSample.objects.update_or_create(at=at, defaults=values)[0]


def count_lanes() -> None:
    """Count what waits and what is active, for those who show much of it."""
    with transaction.atomic():
        alive_sql.keep_counts()


def sample_throughput() -> int:
    """Note how many jobs have come to an end in the present span, and in those since the last look; how many jobs."""
    now = timezone.now()
    last = ThroughputSample.objects.order_by("-at").values_list("at", flat=True).first()
    # The last span that was noted may not have been over, and one more for what was being committed then.
    since = max(now - CAUGHT_UP, (last or now - CAUGHT_UP) - timedelta(seconds=SPAN_SECONDS))
    since = _beginning(min(since, now))
    found = overview_sql.ended_since(since)
    rows = [ThroughputSample(at=at, status=status, category=cat, number=n) for at, status, cat, n in found]
    unique = ["at", "status", "category"]
    with transaction.atomic():
        ThroughputSample.objects.filter(at__gte=since).delete()
        ThroughputSample.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=unique, update_fields=["number"]
        )
    return sum(row.number for row in rows)


def _beginning(at: datetime) -> datetime:
    """Of the span in which `at` lies."""
    return datetime.fromtimestamp(at.timestamp() // SPAN_SECONDS * SPAN_SECONDS, UTC)
