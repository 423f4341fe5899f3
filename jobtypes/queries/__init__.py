"""Reads of job types, recipe types and workspaces."""

from jobtypes.queries.job_types import (
    DOCUMENTS,
    find_job_type,
    find_job_type_by_id,
    find_revision,
    job_type_ids,
    latest_job_types,
    recipe_types_of,
    revisions_of,
    versions_of,
    visible_job_types,
)
from jobtypes.queries.workspaces import (
    WORKSPACE_NAME,
    find_workspace,
    storage_of,
    visible_workspaces,
    workspace_configuration,
    workspaces_by_name,
)

__all__ = [
    "DOCUMENTS",
    "WORKSPACE_NAME",
    "find_job_type",
    "find_job_type_by_id",
    "find_revision",
    "find_workspace",
    "job_type_ids",
    "latest_job_types",
    "recipe_types_of",
    "revisions_of",
    "storage_of",
    "versions_of",
    "visible_job_types",
    "visible_workspaces",
    "workspace_configuration",
    "workspaces_by_name",
]
