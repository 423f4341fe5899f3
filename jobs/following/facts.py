"""What a follower has to know of a job and its executions: one statement, however many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from controlplane.core import sets
from jobs import states
from jobs.models import Job


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """An execution; `uuid` is its name at the provider."""

    number: int
    uuid: str
    exit_code: int | None
    has_started: bool
    has_ended: bool
    is_kept: bool


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job, and its executions by number."""

    status: str
    reason: str
    executions: tuple[ExecutionFacts, ...]

    @property
    def is_final(self) -> bool:
        return self.status in states.FINAL

    @property
    def last(self) -> ExecutionFacts | None:
        return self.executions[-1] if self.executions else None

    def execution(self, number: int) -> ExecutionFacts | None:
        return next((each for each in self.executions if each.number == number), None)

    def after(self, number: int) -> ExecutionFacts | None:
        """The execution that came after this one."""
        return next((each for each in self.executions if each.number > number), None)

    def to_read(self) -> ExecutionFacts | None:
        """The execution whose output is the job's: the last one that started, else the last."""
        return next((each for each in reversed(self.executions) if each.has_started), self.last)


_COLUMNS: Final = (
    "pk", "status", "reason", "executions__number", "executions__uuid", "executions__exit_code",
    "executions__started_at", "executions__ended_at", "executions__logs_kept",
)  # fmt: skip


def look(job_ids: Sequence[int]) -> dict[int, JobFacts]:
    """The facts of these jobs; those that do not exist are left out."""
    jobs = Job.objects.filter(sets.among("id", list(job_ids), Job))
    rows = jobs.order_by("pk", "executions__number").values_list(*_COLUMNS)
    found = {}
    for job_id, group in groupby(rows, key=itemgetter(0)):
        of_job = list(group)
        executions = tuple(
            ExecutionFacts(number, str(uuid), code, started is not None, ended is not None, kept)
            for _, _, _, number, uuid, code, started, ended, kept in of_job
            if number is not None
        )
        found[job_id] = JobFacts(of_job[0][1], of_job[0][2], executions)
    return found
