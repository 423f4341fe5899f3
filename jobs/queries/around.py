"""What stands around jobs and is shown with them: their errors, job types, revisions, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.models import File, Job
from jobtypes.models import Error, JobType, JobTypeRevision, SecretSetting
from jobtypes.seed.allocation import Allocation, allocate
from jobtypes.seed.configuration import merged, read_configuration
from jobtypes.seed.manifest import read_manifest
from jobtypes.seed.verdicts import Invalid

MASK: Final = "*****"
_BRIEF = ("manifest", "configuration")  # what no list shows, and may be long


@dataclass(frozen=True, slots=True)
class Around:
    """By id: errors, job types, the numbers of revisions, the names of files."""

    errors: Mapping[int, Error]
    job_types: Mapping[int, JobType]
    revisions: Mapping[int, int]
    files: Mapping[int, str]


def files_of(job_input: Any) -> Mapping[str, list[int]]:
    """The ids of a job's input files, by input."""
    files: Mapping[str, list[int]] = (job_input or {}).get("files", {})
    return files


def around(rows: Sequence[Mapping[str, Any]]) -> Around:
    """What these jobs (columns of LISTED) name by id: one statement for each kind that there is any of."""
    errors = {row["error_id"] for row in rows} - {None}
    types = {row["job_type_id"] for row in rows} - {None}
    revisions = {row["revision_id"] for row in rows} - {None}
    files = {i for row in rows for ids in files_of(row["input"]).values() for i in ids}
    return Around(
        errors=Error.objects.in_bulk(errors) if errors else {},
        job_types=JobType.objects.defer(*_BRIEF).in_bulk(types) if types else {},
        revisions=dict(JobTypeRevision.objects.filter(pk__in=revisions).values_list("pk", "revision_num"))
        if revisions
        else {},
        files=dict(File.objects.filter(pk__in=files).values_list("pk", "name")) if files else {},
    )


def around_one(job: Job) -> Around:
    """The same for one job that was loaded with its error, job type and revision."""
    files = {i for ids in files_of(job.input).values() for i in ids}
    return Around(
        errors={job.error.pk: job.error} if job.error else {},
        job_types={job.job_type.pk: job.job_type} if job.job_type else {},
        revisions={job.revision.pk: job.revision.revision_num} if job.revision else {},
        files=dict(File.objects.filter(pk__in=files).values_list("pk", "name")) if files else {},
    )


def allocation_of(job: Job) -> Allocation | None:
    """What a Seed job's manifest asks for with its input."""
    return None if job.revision is None else allocate(read_manifest(job.revision.manifest), job.input_bytes or 0)


def shown_configuration(job: Job) -> dict[str, Any] | None:
    """The configuration that holds for a Seed job now, without secrets: its own, and for the rest its job type's."""
    if job.job_type is None:
        return None
    both = merged(job.job_type.configuration, job.configuration)
    try:
        return read_configuration(both).document()
    except Invalid:
        return both


def executed_configuration(job: Job) -> dict[str, Any] | None:
    """The same as executions show it: that a secret setting is set, but not to what."""
    found = shown_configuration(job)
    if found is None:
        return None
    secrets = SecretSetting.objects.filter(job_type=job.job_type_id).values_list("name", flat=True)
    masked = dict.fromkeys([*secrets, *job.secret_env], MASK)
    return {**found, "settings": {**found.get("settings", {}), **masked}}


def superseding(job: Job) -> dict[str, Any] | None:
    """The job that took this one's place in a newer recipe."""
    found = job.superseded_by.values_list("pk", flat=True).first() if job.superseded_at else None
    return None if found is None else {"id": found}
