"""The moves of jobs and executions: sets of rows, each with its event, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.utils import timezone

from accounts import events
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from controlplane.core.transitions import compare_and_set
from jobs import counts, states
from jobs.models import Execution, Job, Lane

_ALSO: Final = ("customer", "lane", "job_type", "moved_at", "error", "recipe")
# The task that looks what of a recipe can go on, now that something of it has moved.
ADVANCE_RECIPE: Final = "jobs.tasks.advance_recipe"


class Ended(NamedTuple):
    """An execution that has ended, and how."""

    id: int
    job_id: int
    number: int
    customer_id: int
    status: str
    exit_code: int | None = None


def move(
    values: Mapping[int, Mapping[str, Any]],
    to: str,
    *,
    fields: Sequence[str] = (),
    actor_id: int | None = None,
    ended: Sequence[Ended] = (),
) -> list[int]:
    """Move the jobs named by `values` to `to`, setting `fields` of each from its mapping.

    Caller holds a transaction. Those whose present state does not allow it are left alone. A job that
    becomes QUEUED wakes its lane. `ended`: executions of whose end the log is told by the same statement.
    Returns the ids that moved.
    """
    now = timezone.now()
    stamped = {i: {**given, "moved_at": now, "modified_at": now} for i, given in values.items()}
    moved = compare_and_set(Job, states.JOB, to, stamped, (*fields, "moved_at", "modified_at"), also=_ALSO)
    entries: list[events.Entry] = []
    changes: list[counts.Change] = []
    recipes: set[int] = set()
    for job_id, (before, customer_id, _, job_type_id, moved_at, error_id, recipe_id) in moved.items():
        if job_type_id is not None:
            now_error = values[job_id].get("error") if "error" in fields else error_id
            changes.append((counts.minute_of(sets.aware(moved_at)), job_type_id, before, error_id, -1))
            changes.append((counts.minute_of(now), job_type_id, to, now_error, 1))
        if recipe_id is not None and (to in states.FINAL or before in states.FINAL):
            recipes.add(recipe_id)
        reason = values[job_id].get("reason")
        after = {"status": to, "reason": reason} if reason else {"status": to}
        entries.append(("job.moved", "job", job_id, actor_id, customer_id, {"status": before}, after))
    events.record([*entries, *_told_of(ended)])
    counts.record(changes)
    for recipe_id in recipes:
        enqueue(ADVANCE_RECIPE, recipe_id=recipe_id)
    if moved and to == states.QUEUED:
        lanes = list({values[job_id].get("lane", lane_id) for job_id, (_, _, lane_id, *_) in moved.items()})
        Lane.objects.filter(sets.among("id", lanes, Lane), waiting=False).update(waiting=True)
    return list(moved)


def move_executions(values: Mapping[int, Mapping[str, Any]], to: str, *, fields: Sequence[str] = ()) -> list[int]:
    """Move executions; the move of their jobs tells the log of it. Caller holds a transaction."""
    return list(compare_and_set(Execution, states.EXECUTION, to, values, fields))


def _told_of(ended: Sequence[Ended]) -> Iterator[events.Entry]:
    for each in ended:
        after: dict[str, Any] = {"status": each.status, "job": each.job_id, "number": each.number}
        if each.exit_code is not None:
            after["exit_code"] = each.exit_code
        yield ("execution.ended", "execution", each.id, None, each.customer_id, None, after)
