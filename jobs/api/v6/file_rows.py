"""Files in the native surface's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobtypes.api.v6.rows import moment


def files(found: Sequence[Mapping[str, Any]], base_url: str) -> list[dict[str, Any]]:
    """Files as lists show them, from the columns queries.LISTED_OF_FILES; `base_url` is that of the list."""
    return [_file(row, base_url) for row in found]


def file_detail(row: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    return {**_file(row, base_url), "meta_data": row["meta_data"]}


def _file(row: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    return {
        "id": row["id"],
        "uuid": str(row["uuid"]),
        "file_name": row["name"],
        "workspace": {
            "id": row["workspace_id"],
            "name": row["workspace__name"],
            "title": row["workspace__title"],
            "base_url": row["workspace__base_url"],
            "is_active": row["workspace__is_active"],
        },
        "media_type": row["media_type"],
        "file_type": row["file_type"],
        "file_size": row["size"],
        "sha256": row["sha256"],
        "file_path": row["path"],
        "is_deleted": row["deleted_at"] is not None,
        "deleted": moment(row["deleted_at"]),
        "url": f"{base_url}{row['id']}/content/",
        "owner": row["owner__username"],
        "customer": row["customer__name"],
        "created": moment(row["created_at"]),
        "last_modified": moment(row["modified_at"]),
        "data_started": moment(row["data_started_at"]),
        "data_ended": moment(row["data_ended_at"]),
        "source_started": moment(row["source_started_at"]),
        "source_ended": moment(row["source_ended_at"]),
        "source_sensor_class": row["source_sensor_class"],
        "source_sensor": row["source_sensor"],
        "source_collection": row["source_collection"],
        "source_task": row["source_task"],
        "geometry": row["geometry"],
        "job": _reference(row["job_id"]),
        "job_exe": _reference(row["execution_id"]),
        "job_output": row["job_output"],
        "job_type": _job_type(row),
        "recipe": _reference(row["job__recipe_id"]),
    }


def _reference(row_id: int | None) -> dict[str, int] | None:
    return None if row_id is None else {"id": row_id}


def _job_type(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["job__job_type_id"] is None:
        return None
    return {
        "id": row["job__job_type_id"],
        "name": row["job__job_type__name"],
        "version": row["job__job_type__version"],
    }
