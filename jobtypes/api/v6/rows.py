"""The rows of job types in the native surface's words: written out by hand, as the jobs' are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobtypes.models import Error, JobType, JobTypeRevision, RecipeType
from jobtypes.seed.verdicts import Finding
from jobtypes.services import Verdict


def moment(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, with Z."""
    return None if at is None else at.astimezone(UTC).isoformat()[:-6] + "Z"


def error(row: Error | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "id": row.pk,
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "job_type_name": row.job_type_name or None,
        "category": row.category,
        "is_builtin": row.is_builtin,
        "should_be_retried": row.should_be_retried,
        "created": moment(row.created_at),
        "last_modified": moment(row.modified_at),
    }


# --- Job types -----------------------------------------------------------------------------------


def brief(row: JobType) -> dict[str, Any]:
    """A job type as it stands inside other rows."""
    return {
        "id": row.pk,
        "name": row.name,
        "version": row.version,
        "title": row.title,
        "description": row.description,
        "icon_code": row.icon_code,
        "is_published": row.is_published,
        "is_active": row.is_active,
        "is_paused": row.is_paused,
        "is_system": row.is_system,
        "unmet_resources": row.unmet_resources,
    }


def job_type(row: JobType) -> dict[str, Any]:
    """A job type as lists show it: without its manifest and configuration."""
    return {
        **brief(row),
        "max_scheduled": row.max_scheduled,
        "max_tries": row.max_tries,
        "revision_num": row.revision_num,
        "docker_image": row.docker_image,
        "created": moment(row.created_at),
        "deprecated": moment(row.deprecated_at),
        "paused": moment(row.paused_at),
        "last_modified": moment(row.modified_at),
    }


def job_type_detail(row: JobType, recipe_types: Iterable[RecipeType]) -> dict[str, Any]:
    """All there is of a job type but its secrets, which no row holds."""
    return {
        **job_type(row),
        "manifest": row.manifest,
        "configuration": row.configuration,
        "recipe_types": [recipe_type_summary(each) for each in recipe_types],
    }


def job_type_name(latest: JobType, versions: Sequence[str]) -> dict[str, Any]:
    """All versions of a name, newest first, told by the newest."""
    return {
        "name": latest.name,
        "title": latest.title,
        "description": latest.description,
        "icon_code": latest.icon_code,
        "is_published": latest.is_published,
        "is_active": latest.is_active,
        "is_paused": latest.is_paused,
        "is_system": latest.is_system,
        "unmet_resources": latest.unmet_resources,
        "versions": versions,
        "latest_version": latest.version,
    }


def revision(row: JobTypeRevision, of: JobType) -> dict[str, Any]:
    """A revision; `of` is its job type as it is now."""
    return {
        "id": row.pk,
        "job_type": brief(of),
        "revision_num": row.revision_num,
        "docker_image": row.docker_image,
        "created": moment(row.created_at),
    }


def revision_detail(row: JobTypeRevision, of: JobType) -> dict[str, Any]:
    return {**revision(row, of), "manifest": row.manifest}


def recipe_type_summary(row: RecipeType) -> dict[str, Any]:
    """A recipe type as it stands in its job types' details."""
    return {
        "id": row.pk,
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "revision_num": row.revision_num,
        "is_active": row.is_active,
        "is_system": row.is_system,
        "created": moment(row.created_at),
        "deprecated": moment(row.deprecated_at),
        "last_modified": moment(row.modified_at),
    }


# --- Verdicts ------------------------------------------------------------------------------------


def verdict(given: Verdict) -> dict[str, Any]:
    return {
        "is_valid": given.is_valid,
        "errors": [_finding(each) for each in given.errors],
        "warnings": [_finding(each) for each in given.warnings],
    }


def refusal(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The native body of a 400 and a verdict in one: clients of either find what they look for."""
    faults = [{"name": name, "description": fault["message"], **fault} for fault in said["errors"]]
    return {**said, "is_valid": False, "errors": faults, "warnings": []}


def _finding(found: Finding) -> dict[str, Any]:
    return {"name": found.name, "description": found.description}
