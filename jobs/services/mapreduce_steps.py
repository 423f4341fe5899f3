"""One step of a MapReduce job: the tasks that are due are made, and the job moves as they have.

Safe to take at any time and any number of times: it looks at how the tasks stand and does what is missing, under
the lock of the job's row. Tasks are made in batches, a few more than can run, so that a job of many splits is never
ahead of others by more than that; `max_parallel` bounds how many there are at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from controlplane.core.ids import uuid7
from jobs import sql, states
from jobs.mapreduce.splits import Split, splits
from jobs.models import Execution, Job, MapReduceSpec, Shape
from jobs.services.cancel import CANCELED_BY_USER, cancel_jobs
from jobs.services.move import move
from jobs.services.requests import NO_POLICY, MapReducePart
from jobtypes.models import Error

IN_LINE: Final = 64  # tasks of a job that wait their turn, at most; half of them gone, new ones are made
ENDED_BADLY: Final = (states.FAILED, states.REJECTED, states.CANCELED)
_ALIVE: Final = (states.PENDING, states.RUNNING, states.CANCELING)
_RAN: Final = (states.RUNNING, states.FAILED, states.DELAYED)
_STAGES: Final = (Shape.MAP, Shape.REDUCE)
_PLAN: Final = ("splits", "reducers", "maps", "reduces", "max_parallel")  # what tells whether a step is due
TASK_STOPPED: Final = "TASK_STOPPED"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the tasks of a job stand that are not completed: how many of each stage are in each state."""

    counts: Mapping[tuple[str, str], int]

    def number(self, *statuses: str, stage: str | None = None) -> int:
        """How many are in one of `statuses`, of one stage or of both."""
        found = self.counts.items()
        return sum(n for (shape, status), n in found if status in statuses and stage in (None, shape))

    def alive(self, stage: str | None = None) -> int:
        return self.number(*states.WAITING, *states.ACTIVE, stage=stage)

    def ended_badly(self) -> int:
        return self.number(*ENDED_BADLY)


def advance_mapreduce(place_id: int) -> bool:
    """Carry on the MapReduce jobs of a place, those that have something to be done. True if tasks were made."""
    rows = MapReduceSpec.objects.filter(job__place=place_id, job__shape=Shape.MAPREDUCE, job__status__in=_ALIVE)
    specs = list(rows.filter(splits__isnull=False).select_related("job").only(*_PLAN, "job__status"))
    if not specs:
        return False
    standings = _standings([spec.pk for spec in specs])
    made = False
    for spec in specs:
        if Step(spec.job, spec, standings[spec.pk]).is_due():
            with transaction.atomic():
                step = Step.locked(spec.pk)
                made = (step is not None and step.take()) or made
    return made


def fail(job_id: int, error_name: str, detail: str) -> None:
    """End a job that has not begun."""
    with transaction.atomic():
        step = Step.locked(job_id)
        if step is not None and step.job.status == states.PENDING:
            step.end(states.FAILED, error=_builtin(error_name), detail=detail)


class Step:
    """A MapReduce job, what it is to do, and how its tasks stand. To act, the caller has locked its row."""

    def __init__(self, job: Job, spec: MapReduceSpec, standing: Standing) -> None:
        self.job = job
        self.spec = spec
        self._standing = standing
        self._stands = job.status

    @classmethod
    def locked(cls, job_id: int) -> Step | None:
        """With the job's row locked. Caller holds a transaction."""
        rows = Job.objects.select_for_update(of=("self",), no_key=True).select_related("owner", "place", "lane")
        job = rows.filter(pk=job_id, shape=Shape.MAPREDUCE, status__in=_ALIVE).first()
        if job is None:
            return None
        return cls(job, MapReduceSpec.objects.get(pk=job_id), _standings([job_id])[job_id])

    def is_due(self) -> bool:
        """Whether `take` would do anything."""
        return self._stops() or self._begins() or self._is_done() or any(self._wanted(stage) > 0 for stage in _STAGES)

    def take(self) -> bool:
        """Do what is due. True if tasks were made."""
        if self._begins():
            started = timezone.now()
            values = {"started_at": started, "queued_at": self.job.queued_at or started, "reason": ""}
            move({self.job.pk: values}, states.RUNNING, fields=tuple(values))
            self._stands = states.RUNNING
        if self._stops():
            self._stop()
            return False
        if self._is_done():
            self.end(states.COMPLETED)
            return False
        made = [self._make(stage) for stage in _STAGES]
        return any(made)

    def end(self, to: str, *, error: Error | None = None, reason: str = "", detail: str = "") -> None:
        """The end of the job; its credentials are needed no more."""
        values = {
            "ended_at": timezone.now(),
            "reason": error.code if error else reason,
            "error": error.pk if error else None,
        }
        move({self.job.pk: values}, to, fields=tuple(values))
        MapReduceSpec.objects.filter(pk=self.job.pk).update(credentials="", failure=detail[:1000])

    # --- How it stands ---------------------------------------------------------------------------

    def _made(self, stage: str) -> int:
        return self.spec.maps if stage == Shape.MAP else self.spec.reduces

    def _planned(self, stage: str) -> int:
        return (self.spec.splits or 0) if stage == Shape.MAP else self.spec.reducers

    def _all_done(self, stage: str) -> bool:
        return self._made(stage) == self._planned(stage) and not self._open(stage)

    def _open(self, stage: str) -> int:
        """Its tasks that have not come to a good end."""
        return self._standing.alive(stage) + self._standing.number(*ENDED_BADLY, stage=stage)

    def _begins(self) -> bool:
        if self._stands != states.PENDING:
            return False
        done = sum(self._made(stage) - self._open(stage) for stage in _STAGES)
        return done > 0 or self._standing.number(*_RAN, states.CANCELING) > 0

    def _stops(self) -> bool:
        return self._stands == states.CANCELING or self._standing.ended_badly() > 0

    def _is_done(self) -> bool:
        return all(self._all_done(stage) for stage in _STAGES)

    def _wanted(self, stage: str) -> int:
        """How many tasks of a stage are to be made now."""
        if stage == Shape.REDUCE and not self._all_done(Shape.MAP):
            return 0
        left = self._planned(stage) - self._made(stage)
        in_line = self._standing.number(*states.WAITING)
        room = IN_LINE - in_line
        if self.spec.max_parallel is not None:
            room = min(room, self.spec.max_parallel - self._standing.alive())
        elif in_line > IN_LINE // 2:
            room = 0
        return max(0, min(left, room))

    # --- What is done ----------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop what is alive of it; once nothing is, it has ended as was asked for, or as its first failure did."""
        if self._standing.alive():
            if self._standing.number(*states.WAITING, states.STARTING, states.RUNNING):
                rows = Job.objects.filter(parent=self.job.pk).exclude(status=states.COMPLETED)
                cancel_jobs(list(rows.values_list("pk", flat=True)), actor=None)
            return
        if self._stands == states.CANCELING:
            self.end(states.CANCELED, reason=CANCELED_BY_USER)
            return
        failed = Job.objects.filter(parent=self.job.pk, status__in=(states.FAILED, states.REJECTED))
        first = failed.select_related("error").order_by("ended_at", "pk").first()
        if first is None:
            self.end(states.FAILED, reason=TASK_STOPPED, detail="One of its tasks was stopped.")
            return
        self.end(states.FAILED, error=first.error, reason=first.reason, detail=_what_happened(first))

    def _make(self, stage: str) -> bool:
        count = self._wanted(stage)
        if not count:
            return False
        first = self._made(stage)
        parts = self._maps(first, count) if stage == Shape.MAP else self._reduces(first, count)
        make_parts(self.job, parts)
        values = {"maps" if stage == Shape.MAP else "reduces": first + len(parts)}
        MapReduceSpec.objects.filter(pk=self.job.pk).update(**values)
        return True

    def _maps(self, first: int, count: int) -> list[MapReducePart]:
        found = splits(self.spec.objects_found, self.spec.split_bytes, first, count)
        return [map_part(self.job.pk, first + i, split) for i, split in enumerate(found)]

    def _reduces(self, first: int, count: int) -> list[MapReducePart]:
        return [MapReducePart(Shape.REDUCE, self.job.pk, number) for number in range(first, first + count)]


def run_maps_again(reduce: Job, numbers: Sequence[int]) -> None:
    """Make anew the map tasks `numbers` of whom nothing is left, and give the reduce task that missed it another try.

    Caller holds a transaction. A task that is being made anew already is left alone.
    """
    assert reduce.parent_id is not None
    step = Step.locked(reduce.parent_id)
    if step is None:
        return
    now = timezone.now()
    rows = Job.objects.filter(parent=reduce.parent_id, shape=Shape.MAP, part__in=numbers, superseded_at=None)
    lost = list(rows.filter(status=states.COMPLETED).values_list("pk", "part", "input"))
    Job.objects.filter(pk__in=[pk for pk, *_ in lost]).update(superseded_at=now, modified_at=now)
    Job.objects.filter(pk=reduce.pk).update(max_tries=F("max_tries") + 1)
    make_parts(
        step.job,
        [
            MapReducePart(
                Shape.MAP, reduce.parent_id, part, split, input_bytes=split["end"] - split["start"], supersedes=pk
            )
            for pk, part, split in lost
        ],
    )


def map_part(parent: int, part: int, split: Split) -> MapReducePart:
    return MapReducePart(Shape.MAP, parent, part, split.document(), split.end - split.start)


def make_parts(job: Job, parts: Sequence[MapReducePart]) -> None:
    """Queue tasks of a job, loaded with its owner and place: they have all of it but what differs."""
    rows = [_row(job, part) for part in parts]
    sql.submit(job.owner, rows, {sql.pulse_queue(job.place.cloud, job.place.region)})


def _row(job: Job, part: MapReducePart) -> tuple[Any, ...]:
    """In the order of sql.JOB_FIELDS."""
    nothing: tuple[Any, ...] = (job.classification, "", [], "", "", [], {})
    limits = (job.vcpus_milli, job.memory_mib, job.priority, job.queue, job.timeout_seconds)
    tries = (job.max_tries, job.max_tries, None)
    return (uuid7(), job.customer_id, job.place_id, job.lane_id, *nothing, *limits, *tries, *part.row(), *NO_POLICY)


def _standings(ids: Sequence[int]) -> dict[int, Standing]:
    """How the tasks of these jobs stand, by job. Costs what is not completed."""
    rows = Job.objects.filter(parent__in=ids, superseded_at=None).exclude(status=states.COMPLETED).order_by()
    found: dict[int, dict[tuple[str, str], int]] = {i: {} for i in ids}
    for parent, shape, status, number in rows.values_list("parent", "shape", "status").annotate(number=Count("pk")):
        assert parent is not None
        found[parent][(shape, status)] = number
    return {i: Standing(counts) for i, counts in found.items()}


def _what_happened(task: Job) -> str:
    last = Execution.objects.filter(job=task).order_by("-number").first()
    said = (last.detail if last else "") or (task.error.title if task.error else task.reason)
    return f"{task.shape} task {task.part}: {said}"


def _builtin(name: str) -> Error:
    return Error.objects.get(name=name, is_builtin=True)
