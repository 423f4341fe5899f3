"""What a follower has to know of a job and its executions: one statement, however many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from controlplane.core import sets
from jobs import states
from jobs.models import Job


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """An execution, and where its output is: at its place by `uuid`, or at a cloud by `handle`.

    `is_copied`: all that it wrote at a cloud is in our own storage. `is_kept`: retention has not deleted it.
    """

    number: int
    uuid: str
    exit_code: int | None
    has_started: bool
    has_ended: bool
    is_kept: bool
    cloud: str = "local"
    region: str = ""
    handle: str = ""
    is_copied: bool = False

    @property
    def ends_in_silence(self) -> bool:
        """It has ended, and nothing more comes: one that was lost on a machine leaves no word of its end.

        At a cloud output may come late, so there the cloud says when it is all.
        """
        return self.has_ended and self.cloud == "local"


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
    "executions__place__cloud", "executions__place__region", "executions__handle", "executions__copy_at",
)  # fmt: skip


def look(job_ids: Sequence[int]) -> dict[int, JobFacts]:
    """The facts of these jobs; those that do not exist are left out."""
    jobs = Job.objects.filter(sets.among("id", list(job_ids), Job))
    rows = jobs.order_by("pk", "executions__number").values_list(*_COLUMNS)
    found = {}
    for job_id, group in groupby(rows, key=itemgetter(0)):
        of_job = list(group)
        executions = tuple(_execution(row[3:]) for row in of_job if row[3] is not None)
        found[job_id] = JobFacts(of_job[0][1], of_job[0][2], executions)
    return found


def _execution(row: Sequence[Any]) -> ExecutionFacts:
    number, uuid, code, started, ended, kept, cloud, region, handle, copy_at = row
    is_copied = bool(handle) and ended is not None and copy_at is None
    has_started, has_ended = started is not None, ended is not None
    return ExecutionFacts(number, str(uuid), code, has_started, has_ended, kept, cloud, region, handle or "", is_copied)
