"""MapReduce jobs, as callers may see them, and how far they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from accounts.models import User
from jobs import gates, states
from jobs.alive_sql import LOOKING, WAITS_FOR_TASKS
from jobs.errors import JobNotFound
from jobs.models import Execution, Job, MapReduceSpec, Shape
from jobs.queries.found import find_job, visible_jobs

# As the surface of MapReduce names states, of jobs and of their tasks.
JOB_WORDS: Final = {
    **dict.fromkeys((*states.WAITING, states.STARTING), "scheduled"),
    states.RUNNING: "running",
    states.CANCELING: "running",
    states.COMPLETED: "completed",
    states.FAILED: "failed",
    states.REJECTED: "failed",
    states.CANCELED: "stopped",
}
TASK_WORDS: Final = {
    **JOB_WORDS,
    states.STARTING: "idle",
    states.RUNNING: "in-progress",
    states.CANCELING: "in-progress",
}
_AROUND: Final = ("mapreduce__mapper__artifact", "mapreduce__reducer__artifact", "mapreduce__combiner__artifact")


@dataclass(slots=True)
class StageProgress:
    """How far a stage is: tasks that there will be, those made by their state, and what the completed ones counted."""

    planned: int | None
    tasks: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    records_in: int = 0
    records_out: int = 0
    bytes_out: int = 0

    @property
    def completed(self) -> int:
        return self.tasks[states.COMPLETED]


def mapreduce_jobs(user: User) -> QuerySet[Job]:
    """The MapReduce jobs that `user` may read, with what they are to do but for the objects of their input."""
    rows = visible_jobs(user).filter(shape=Shape.MAPREDUCE, parent__isnull=True)
    return rows.select_related("mapreduce", "error").defer("mapreduce__objects_found", "env")


def find_mapreduce(user: User, reference: str, action: str) -> Job:
    """The MapReduce job with this id or uuid, if `user` may do `action` to it. Raises JobNotFound, Forbidden."""
    job = find_job(user, reference, action)
    if job.shape != Shape.MAPREDUCE:
        raise JobNotFound
    return job


def spec_of(job: Job) -> MapReduceSpec:
    """What a MapReduce job is to do, with its programs."""
    return MapReduceSpec.objects.select_related(*(name.removeprefix("mapreduce__") for name in _AROUND)).get(pk=job.pk)


def tasks_of(job: Job) -> QuerySet[Job]:
    """Its tasks, maps first, each with `worker`: the uuid of its last execution."""
    last = Execution.objects.filter(job=OuterRef("pk")).order_by("-number").values("uuid")[:1]
    rows = Job.objects.filter(parent=job, superseded_at=None).annotate(worker=Subquery(last))
    return rows.defer("env").order_by("shape", "part")


def progress_of(spec: MapReduceSpec) -> dict[str, StageProgress]:
    """How far a job is, by stage: one statement, over all of its tasks."""
    found = {Shape.MAP: StageProgress(spec.splits), Shape.REDUCE: StageProgress(spec.reducers)}
    rows = Job.objects.filter(parent=spec.pk, superseded_at=None).order_by()
    sums = {name: Sum(Cast(KeyTextTransform(name, "output"), BigIntegerField())) for name in _COUNTED}
    for shape, status, number, *counted in rows.values_list("shape", "status").annotate(number=Count("pk"), **sums):
        stage = found[Shape(shape)]
        stage.tasks[status] += number
        for name, value in zip(_COUNTED, counted, strict=True):
            setattr(stage, name, getattr(stage, name) + (value or 0))
    return {str(shape): stage for shape, stage in found.items()}


_COUNTED: Final = ("bytes_in", "records_in", "records_out", "bytes_out")


def kept_back(job: Job) -> list[gates.Reason]:
    """What a MapReduce job that has not begun waits for."""
    spec = MapReduceSpec.objects.only("splits", "looks").get(pk=job.pk)
    if spec.splits is None:
        hint = "Its input is being looked for." if spec.looks < 2 else "Its input could not be looked at; again soon."
        return [gates.Reason(LOOKING, hint, since=job.submitted_at, value=spec.looks)]
    waiting = Job.objects.filter(parent=job, status__in=states.WAITING).count()
    hint = f"None of its tasks has started: /v6/jobs/?parent={job.pk} has them, and each says what keeps it."
    return [gates.Reason(WAITS_FOR_TASKS, hint, since=job.submitted_at, value=waiting)]
