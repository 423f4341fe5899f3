"""What a job that is only thought of would meet: what would keep it, and what jobs like it have taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from django.db.models import F, Sum

from accounts.models import User
from jobs import gates, sql, states
from jobs.models import Execution, Job, MapReduceSpec, Place, Shape
from jobs.queries.quantiles import of_ten, seconds_of
from jobs.queries.spending import spending
from jobs.queries.waiting import counters, holds_by_scope, reserve

LOOKED_AT: Final = 200  # jobs of a kind, the newest
TASKS_LOOKED_AT: Final = 5000  # of MapReduce jobs, in all
NO_JOB: Final = 0
NO_LANE: Final = 0
NEW_CUSTOMER: Final = 0  # no row has this id


@dataclass(frozen=True, slots=True)
class History:
    """How long jobs of a kind have run, with all their executions: half of them no longer, and nine in ten."""

    jobs: int
    p50_seconds: Decimal
    p90_seconds: Decimal


def lane_thought_of(
    owner: User,
    place_id: int,
    customer_id: int,
    *,
    queue: str,
    vcpus_milli: int,
    memory_mib: int,
    job_type: sql.TypeFacts | None = None,
) -> sql.LaneFacts:
    """The lane that such jobs of `owner` would stand in, with nothing in it."""
    return sql.LaneFacts(
        id=NO_LANE,
        place_id=place_id,
        customer_id=customer_id,
        owner_id=owner.pk,
        owner_role=owner.role,
        queue=queue,
        job_type=job_type,
        blocked_since=None,
        on_hold=False,
        claimable=False,
        jobs=0,
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
    )


class Outlook:
    """What the gates would say, now, of jobs that are not there. Each place is looked at once."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[gates.Counters, dict[int, sql.LaneFacts]]] = {}
        self._found: dict[tuple[object, ...], list[gates.Reason]] = {}

    def reasons(
        self,
        lane: sql.LaneFacts,
        priority: int,
        *,
        capacity: str = "",
        timeout_seconds: int | None = None,
        whole: bool = False,
    ) -> list[gates.Reason]:
        """Everything that would keep a job from starting that came now, into a lane of its own size."""
        more = {"capacity": capacity, "timeout_seconds": timeout_seconds, "whole": whole}
        key = (lane, priority, *more.values())
        if key not in self._found:
            known, lanes = self._at(lane.place_id)
            now = replace(known)
            size = (lane.vcpus_milli, lane.memory_mib)
            candidate = sql.Candidate(
                *(NO_JOB, lane.id, priority, now.now, *size, 0, capacity),
                timeout_seconds=timeout_seconds,
                whole=whole,
            )
            reserve(now, lanes, candidate)
            self._found[key] = list(gates.reasons(candidate, lane, now))
        return self._found[key]

    def _at(self, place_id: int) -> tuple[gates.Counters, dict[int, sql.LaneFacts]]:
        if place_id not in self._places:
            lanes = sql.lanes(place_id)
            place = Place.objects.get(pk=place_id)
            now = counters(place, lanes.values())
            now.holds = holds_by_scope()
            now.spending = spending(place, lanes.values())
            self._places[place_id] = now, lanes
        return self._places[place_id]


def history(customer_id: int, shape: str, classification: str, revision_id: int | None = None) -> History | None:
    """What a customer's last jobs of a kind took that came to a good end; None when there are none.

    The kind of a Seed job is its revision, that of others their class. A MapReduce job took what its tasks took.
    """
    rows = Job.objects.filter(customer=customer_id, status=states.COMPLETED).order_by("-id")
    if revision_id is not None:
        rows = rows.filter(revision=revision_id)
    else:
        rows = rows.filter(classification=classification, parent__isnull=True, shape=shape)
    ids = list(rows.values_list("id", flat=True)[:LOOKED_AT])
    of = "job"
    if shape == Shape.MAPREDUCE:
        ids, of = _few_tasks(ids), "job__parent"
    if not ids:
        return None
    executions = Execution.objects.filter(started_at__isnull=False, ended_at__isnull=False, **{f"{of}__in": ids})
    taken = executions.order_by().values(of).annotate(taken=Sum(F("ended_at") - F("started_at")))
    seconds = sorted(seconds_of(each) for each in taken.values_list("taken", flat=True))
    return History(len(seconds), of_ten(seconds, 5), of_ten(seconds, 9)) if seconds else None


def _few_tasks(ids: Sequence[int]) -> list[int]:
    """The newest of these MapReduce jobs, as long as their tasks are not too many to be added up; one at least."""
    specs = MapReduceSpec.objects.filter(pk__in=ids).order_by("-pk").values_list("pk", "maps", "reduces")
    chosen: list[int] = []
    tasks = 0
    for job_id, maps, reduces in specs:
        tasks += maps + reduces
        if chosen and tasks > TASKS_LOOKED_AT:
            break
        chosen.append(job_id)
    return chosen
