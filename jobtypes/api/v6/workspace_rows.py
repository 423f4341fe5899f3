"""Workspaces in the native surface's words."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from controlplane.core.storage import masked
from jobtypes.api.v6.rows import moment
from jobtypes.models import Workspace
from jobtypes.queries import workspace_configuration


def workspace(row: Workspace) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "base_url": row.base_url,
        "is_active": row.is_active,
        "created": moment(row.created_at),
        "deprecated": moment(row.deprecated_at),
        "last_modified": moment(row.modified_at),
    }


def workspace_detail(row: Workspace, reader: User) -> dict[str, Any]:
    """With its configuration, for staff: null when no present key reads it."""
    if not reader.is_staff:
        return workspace(row)
    configuration = workspace_configuration(row)
    return {**workspace(row), "configuration": None if configuration is None else masked(configuration)}
