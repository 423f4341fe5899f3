"""The moves of jobs and executions: sets of rows, each with its event, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from accounts import events
from controlplane.core import sets
from controlplane.core.transitions import compare_and_set
from jobs import states
from jobs.models import Execution, Job, Lane


def move(
    values: Mapping[int, Mapping[str, Any]], to: str, *, fields: Sequence[str] = (), actor_id: int | None = None
) -> list[int]:
    """Move the jobs named by `values` to `to`, setting `fields` of each from its mapping.

    Caller holds a transaction. Those whose present state does not allow it are left alone. A job that
    becomes QUEUED wakes its lane. Returns the ids that moved.
    """
    now = timezone.now()
    stamped = {i: {**given, "moved_at": now, "modified_at": now} for i, given in values.items()}
    moved = compare_and_set(
        Job, states.JOB, to, stamped, (*fields, "moved_at", "modified_at"), also=("customer", "lane")
    )
    entries: list[events.Entry] = []
    for job_id, (before, customer_id, _) in moved.items():
        reason = values[job_id].get("reason")
        after = {"status": to, "reason": reason} if reason else {"status": to}
        entries.append(("job.moved", "job", job_id, actor_id, customer_id, {"status": before}, after))
    events.record(entries)
    if moved and to == states.QUEUED:
        lanes = list({lane_id for _, _, lane_id in moved.values()})
        Lane.objects.filter(sets.among("id", lanes, Lane), waiting=False).update(waiting=True)
    return list(moved)


def move_executions(values: Mapping[int, Mapping[str, Any]], to: str, *, fields: Sequence[str] = ()) -> list[int]:
    """Move executions; the job's own move tells the log of it. Caller holds a transaction."""
    return list(compare_and_set(Execution, states.EXECUTION, to, values, fields))
