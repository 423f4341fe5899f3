"""Files in workspaces, as callers may see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import QuerySet

from accounts import access
from accounts.models import Role, User
from controlplane.core import sets
from controlplane.core.filters import key_of
from jobs.errors import FileNotFound
from jobs.models import File

# What lists show of a file: columns, not rows of six models, as with jobs.
LISTED_OF_FILES: Final = (
    *("id", "uuid", "name", "path", "media_type", "file_type", "size", "sha256", "geometry", "job_output"),
    *("data_started_at", "data_ended_at", "source_started_at", "source_ended_at"),
    *("source_sensor_class", "source_sensor", "source_collection", "source_task"),
    *("created_at", "modified_at", "deleted_at", "job_id", "execution_id", "owner__username", "customer__name"),
    *("workspace_id", "workspace__name", "workspace__title", "workspace__base_url", "workspace__is_active"),
    *("job__job_type_id", "job__job_type__name", "job__job_type__version", "job__recipe_id"),
)


def visible_files(user: User) -> QuerySet[File]:
    """The files that `user` may read, deleted ones among them."""
    if user.role != Role.CUSTOMER:
        return File.objects.all()
    return File.objects.filter(customer=user.customer_id) if user.customer_id is not None else File.objects.none()


def file_columns(user: User, reference: str) -> dict[str, Any]:
    """LISTED_OF_FILES and meta_data of the file with this id or uuid, if `user` may read it. Raises FileNotFound."""
    rows = visible_files(user).filter(**key_of(reference, FileNotFound))
    found: dict[str, Any] | None = rows.values(*LISTED_OF_FILES, "meta_data").first()
    if found is None:
        raise FileNotFound
    return found


def find_file(user: User, reference: str, action: str) -> File:
    """The file with this id or uuid, with its workspace, if `user` may do `action` to it.

    Raises FileNotFound, Forbidden.
    """
    file = File.objects.select_related("workspace").filter(**key_of(reference, FileNotFound)).first()
    if file is None:
        raise FileNotFound
    decision = access.decide(user, "files", action, owner_id=file.owner_id, customer_id=file.customer_id)
    access.enforce(decision, FileNotFound)
    return file


def readable_files(user: User, ids: Iterable[int]) -> dict[int, File]:
    """Those of `ids` that are there and that `user` may read, with their workspaces. One statement."""
    chosen = sets.among("id", list(set(ids)), File)
    rows = visible_files(user).filter(chosen, deleted_at=None).select_related("workspace")
    return {each.pk: each for each in rows}


def files_called(user: User, names: Iterable[str], *, at_most: int) -> dict[str, list[int]]:
    """The ids of the files that are there with exactly these names and that `user` may read, the newest first.

    Of all names together `at_most` are looked at. One statement.
    """
    rows = visible_files(user).filter(name__in=list(set(names)), deleted_at=None).order_by("-pk")
    found: dict[str, list[int]] = {}
    for pk, name in rows.values_list("pk", "name")[:at_most]:
        found.setdefault(name, []).append(pk)
    return found
