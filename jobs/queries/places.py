"""Places as they are shown: what they do, and what is on its way to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, QuerySet

from jobs import sql
from jobs.models import Place, Submission
from jobs.queries.waiting import Present

COUNTED: Final = 1000  # more than these are not counted
SHOWN: Final = 10


def places_with_jobs() -> QuerySet[Place]:
    """All places, with `active_jobs` and `queued_jobs`, each counted up to one more than COUNTED."""
    most = COUNTED + 1
    return Place.objects.annotate(active_jobs=sql.active_at(most), queued_jobs=sql.queued_at(most))


def active_by_status(place: Place) -> list[tuple[str, int]]:
    """How many jobs are active at the place, by status."""
    found: Counter[str] = Counter()
    for each in Present().active:
        if each.place_id == place.pk:
            found[each.status] += each.jobs
    return sorted(found.items())


@dataclass(frozen=True, slots=True)
class OpenSubmissions:
    """What is on its way to a place: `count` up to one more than COUNTED.

    `oldest` are Submissions, each with how many executions go with it as `works`.
    """

    count: int
    since: datetime | None
    oldest: Sequence[Any]


def open_submissions(place: Place) -> OpenSubmissions:
    rows = Submission.objects.filter(place=place, settled_at=None)
    oldest = list(rows.annotate(works=Count("executions")).order_by("id")[:SHOWN])
    count = rows[: COUNTED + 1].count() if len(oldest) == SHOWN else len(oldest)
    return OpenSubmissions(count, oldest[0].created_at if oldest else None, oldest)
