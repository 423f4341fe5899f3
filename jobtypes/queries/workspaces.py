"""Workspaces, and the storage that each of them is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet

from accounts import access
from accounts.models import User
from controlplane.core.encryption import SecretUnreadable, decrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered
from controlplane.core.storage import Storage, StorageRefused, open_storage
from jobtypes.errors import WorkspaceNotFound
from jobtypes.models import Workspace

# Not of digits alone: those are ids.
WORKSPACE_NAME: Final = re.compile(r"(?=.*[A-Za-z_-])[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_ID: Final = re.compile(r"[0-9]{1,18}")

_storages: Remembered[tuple[int, datetime], Storage] = Remembered(limit=500)


def visible_workspaces(user: User) -> QuerySet[Workspace]:
    """The workspaces that `user` may read."""
    rows = Workspace.objects.all()
    return rows if access.decide(user, "job_types", access.READ).allowed else rows.none()


def find_workspace(user: User, reference: str) -> Workspace:
    """The workspace with this id or name, if `user` may read it. Raises WorkspaceNotFound."""
    if _ID.fullmatch(reference):
        found = visible_workspaces(user).filter(pk=int(reference)).first()
    elif WORKSPACE_NAME.fullmatch(reference):
        found = visible_workspaces(user).filter(name=reference).first()
    else:
        found = None
    if found is None:
        raise WorkspaceNotFound
    return found


def workspaces_by_name(names: Iterable[str]) -> dict[str, Workspace]:
    """Those of `names` that there are. One statement."""
    return {each.name: each for each in Workspace.objects.filter(name__in=set(names))}


def workspace_configuration(workspace: Workspace) -> dict[str, Any] | None:
    """`{"broker": {…}}` with its secrets in the clear; None when no present key reads it."""
    try:
        return {"broker": json.loads(decrypt(workspace.broker)["broker"])}
    except SecretUnreadable:
        return None


def storage_of(workspace: Workspace) -> Storage:
    """Where the workspace's files are. Opened once per process, until the workspace is edited.

    Raises StorageRefused when its configuration cannot be read, or is not allowed here any more.
    """
    key = (workspace.pk, workspace.modified_at)
    kept = _storages.get(key)
    if kept is None:
        kept = _opened(workspace)
        _storages.put(key, kept)
    return kept


def _opened(workspace: Workspace) -> Storage:
    configuration = workspace_configuration(workspace)
    if configuration is None:
        raise StorageRefused(f"No present key reads the configuration of the workspace {workspace.name}.")
    try:
        return open_storage(
            configuration, allowed_roots=settings.WORKSPACE_ROOTS, allowed_endpoints=settings.STORAGE_ENDPOINTS
        )
    except InvalidRequest as error:
        raise StorageRefused(f"The workspace {workspace.name} cannot be used: {error.message}") from error
