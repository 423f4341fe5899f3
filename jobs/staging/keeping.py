"""After the command: what an execution has put out is kept in its workspaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import StorageError
from controlplane.core.storage.base import CHUNK_BYTES, DEFAULT_MEDIA_TYPE
from jobs.models import Execution, File, FileType
from jobs.staging.facts import StagingFault, configuration_of, manifest_of
from jobs.staging.rooms import room_of
from jobtypes.models import Workspace
from jobtypes.queries import storage_of, workspaces_by_name
from jobtypes.seed.configuration import workspace_of
from jobtypes.seed.folders import Folder, Missing, NotReadable
from jobtypes.seed.outputs import Captured, OutputFault, OutputFound, capture


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept: rows of files that are not in the database yet, JSON values, metadata of input files by id.

    `facts`: what a task of a MapReduce job has left, in place of files and JSON values.
    """

    files: list[File] = field(default_factory=list)
    json: Mapping[str, Any] = field(default_factory=dict)
    input_metadata: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None


def keep(execution: Execution, alive: Callable[[], None]) -> Kept:
    """Find the execution's outputs in its room and store the files. Loaded with it: its job, and that job's type.

    Stored twice, a file is the same: its path follows from the execution. `alive` is called often, and raises
    when somebody else has taken over. Raises StagingFault.
    """
    job, room = execution.job, room_of(execution.uuid)
    assert job.revision_id is not None
    manifest = manifest_of(job.revision_id)
    try:
        captured = capture(str(room.output), manifest)
        configuration = configuration_of(job)
        names = {found.output: workspace_of(configuration, found.output) for found in captured.files}
        workspaces = workspaces_by_name(names.values())
        files = []
        with Folder(str(room.output)) as folder:
            for found in captured.files:
                workspace = workspaces.get(names[found.output])
                if workspace is None:
                    raise StagingFault("filesystem-io", f"The output {found.output} has no workspace any more.")
                files.append(_stored(execution, found, workspace, folder, alive))
    except OutputFault as fault:
        raise StagingFault(fault.error_name, fault.detail) from fault
    except OSError as error:
        raise StagingFault("filesystem-io", f"Its output could not be read here: {error.strerror}.") from error
    return Kept(files, captured.json, _of_inputs(captured, job.input or {}), captured.warnings)


def _stored(
    execution: Execution, found: OutputFound, workspace: Workspace, folder: Folder, alive: Callable[[], None]
) -> File:
    path = _path(execution, found)
    media_type = found.media_type or DEFAULT_MEDIA_TYPE
    try:
        descriptor = folder.open(found.path)
    except (Missing, NotReadable) as error:
        raise StagingFault(
            "missing-required-output", f"The output {found.output} changed while it was kept."
        ) from error
    try:
        stored = storage_of(workspace).put(path, _chunks(descriptor, alive), media_type=media_type)
    except (StorageError, InvalidRequest) as error:
        raise StagingFault("filesystem-io", f"The workspace {workspace.name} failed: {error}") from error
    job = execution.job
    return File(
        workspace=workspace,
        path=path,
        name=PurePosixPath(found.path).name,
        media_type=media_type,
        file_type=FileType.PRODUCT,
        size=stored.size,
        sha256=stored.sha256,
        owner_id=job.owner_id,
        customer_id=job.customer_id,
        job=job,
        execution=execution,
        job_output=found.output,
        **described(found.metadata),
    )


def _path(execution: Execution, found: OutputFound) -> str:
    """Where the file lies in its workspace: the same for every try to keep it, and another for every execution."""
    return f"jobs/{execution.job.uuid}/{execution.number}/{found.output}/{found.path}"


def _chunks(descriptor: int, alive: Callable[[], None]) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            alive()
            yield chunk


_TEXTS: Final = {
    "sourceSensorClass": "source_sensor_class",
    "sourceSensor": "source_sensor",
    "sourceCollection": "source_collection",
    "sourceTask": "source_task",
}
_MOMENTS: Final = {
    "dataStarted": "data_started_at",
    "dataEnded": "data_ended_at",
    "sourceStarted": "source_started_at",
    "sourceEnded": "source_ended_at",
}


def described(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns of a file that its sidecar speaks of."""
    if metadata is None:
        return {}
    properties: Mapping[str, Any] = metadata.get("properties") or {}
    texts = {column: properties[name][:128] for name, column in _TEXTS.items() if name in properties}
    moments = {
        column: datetime.fromisoformat(properties[name]) for name, column in _MOMENTS.items() if name in properties
    }
    return {"geometry": metadata.get("geometry"), "meta_data": dict(properties), **texts, **moments}


def _of_inputs(captured: Captured, given: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    files: Mapping[str, list[int]] = given.get("files", {})
    found = captured.input_metadata.items()
    return {files[name][0]: metadata for name, metadata in found if len(files.get(name, ())) == 1}
