"""Every write of job types."""

from jobtypes.services.errors import create_error, update_error
from jobtypes.services.errors import facts_of as facts_of_error
from jobtypes.services.job_types import (
    RESERVED_NAMES,
    Options,
    Saved,
    Verdict,
    Wishes,
    check_documents,
    create_job_type,
    edit_job_type,
    validate_edit,
    validate_job_type,
)
from jobtypes.services.job_types import facts_of as facts_of_job_type
from jobtypes.services.workspaces import check_workspace, create_workspace, edit_workspace, validate_workspace
from jobtypes.services.workspaces import facts_of as facts_of_workspace

__all__ = [
    "RESERVED_NAMES",
    "Options",
    "Saved",
    "Verdict",
    "Wishes",
    "check_documents",
    "check_workspace",
    "create_error",
    "create_job_type",
    "create_workspace",
    "edit_job_type",
    "edit_workspace",
    "facts_of_error",
    "facts_of_job_type",
    "facts_of_workspace",
    "update_error",
    "validate_edit",
    "validate_job_type",
    "validate_workspace",
]
