"""Jobs that fail, with what they wrote, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusters.providers.base import End
from jobs import failures
from jobs.models import FailureCluster, Job
from jobtypes.models import JobType
from tests.factories import Person, Stage, keep_output, make_jobs
from tests.jobs import counted

TRACE = """\
Traceback (most recent call last):
  File "/work/{0}/run.py", line {0}, in <module>
    main()
ValueError: the lens of camera {0} is {1}
"""


def trace(number: int, what: str = "dirty") -> str:
    return TRACE.format(number, what)


def fail(
    jobs: Sequence[Job], *, stage: Stage | None = None, stderr: Sequence[str] = (), exit_code: int = 1
) -> list[Job]:
    """Let queued jobs run, write these texts, and fail."""
    stage = stage or Stage()
    stage.start(*jobs)
    for job, text in zip(jobs, stderr, strict=False):
        keep_output(job, stdout="reading\n", stderr=text)
    stage.end(*jobs, exit_code=exit_code, end=End.EXITED)
    return list(jobs)


def failed_jobs(count: int, what: str = "dirty", owner: Person | None = None, **wishes: Any) -> list[Job]:
    """Jobs that failed with a traceback that says `what`, at a number of lines each."""
    exit_code = wishes.pop("exit_code", 1)
    stage = wishes.pop("stage", None)
    jobs = make_jobs(count, owner, **wishes)
    return fail(jobs, stage=stage, stderr=[trace(job.pk, what) for job in jobs], exit_code=exit_code)


def cluster_of(job: Job) -> FailureCluster:
    """The cluster of a job, when everything that has failed is grouped."""
    failures.group_failures()
    job.refresh_from_db()
    assert job.failure_cluster is not None
    return job.failure_cluster


def failed_of_type(job_type: JobType, count: int, error: Any) -> list[int]:
    """Jobs of a type that failed with an error, without an execution."""
    ids = counted.submit(job_type, count)
    counted.finish(ids, "FAILED", error=error)
    return ids
