"""How many jobs wait and run, noted each minute."""

from __future__ import annotations

from django.db.models import Count
from django.utils import timezone

from jobs import states
from jobs.models import Job, LoadSample, Shape


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
