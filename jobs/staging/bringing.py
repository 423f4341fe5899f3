"""Before the command: the input files of an execution are brought to its room."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import NoSuchFile, StorageError
from jobs.models import Execution, File
from jobs.staging.facts import StagingFault, manifest_of
from jobs.staging.rooms import room_of
from jobtypes.queries import storage_of


def bring(execution: Execution, alive: Callable[[], None]) -> None:
    """Make the execution's room and bring its input files there. Loaded with it: its job.

    A file of a folder on the same file system is linked, any other copied. `alive` is called often, and
    raises when somebody else has taken over. Raises StagingFault; whatever it raises, the room may be half made.
    """
    job, room = execution.job, room_of(execution.uuid)
    assert job.revision_id is not None
    wanted: dict[str, list[int]] = (job.input or {}).get("files", {})
    ids = {i for each in wanted.values() for i in each}
    files = File.objects.select_related("workspace").in_bulk(ids)
    manifest = manifest_of(job.revision_id)
    try:
        room.make()
        for name in (each.name for each in manifest.input_files if each.name in wanted):
            _bring_input([_there(files, i) for i in wanted[name]], room.input / name, alive)
        room.metadata.write_text(json.dumps(_metadata(wanted, files)))
    except OSError as error:
        raise StagingFault("filesystem-io", f"Its input could not be written here: {error.strerror}.") from error


def _there(files: dict[int, File], file_id: int) -> File:
    found = files.get(file_id)
    if found is None or found.deleted_at is not None:
        raise StagingFault("filesystem-io", f"The input file {file_id} was deleted.")
    return found


def _bring_input(files: list[File], folder: Path, alive: Callable[[], None]) -> None:
    folder.mkdir(mode=0o755)
    names: set[str] = set()
    for file in files:
        name = f"{file.pk}.{file.name}" if file.name in names else file.name
        names.add(file.name)
        alive()
        _bring_file(file, folder / name, alive)


def _bring_file(file: File, target: Path, alive: Callable[[], None]) -> None:
    try:
        storage = storage_of(file.workspace)
        local = storage.local_path(file.path)
        if local is not None and _linked(local, target):
            return
        with open(target, "xb") as copy:
            for chunk in storage.get(file.path):
                copy.write(chunk)
                alive()
    except NoSuchFile as error:
        raise StagingFault("filesystem-io", f"The input file {file.pk} is not in its workspace any more.") from error
    except (StorageError, InvalidRequest) as error:
        raise StagingFault("filesystem-io", f"The workspace {file.workspace.name} failed: {error}") from error


def _linked(source: str, target: Path) -> bool:
    """Hard links cost no copy, and stay what they are when the workspace writes over the file."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    if target.is_symlink():  # put in the file's place since we looked: storage.get knows what to do with it
        target.unlink()
        return False
    return True


def _metadata(wanted: dict[str, list[int]], files: dict[int, File]) -> dict[str, Any]:
    """What is known of the input files, by input: for programs that want more than bytes."""
    return {name: [_about(files[i]) for i in ids if i in files] for name, ids in wanted.items()}


def _about(file: File) -> dict[str, Any]:
    return {
        "id": file.pk,
        "file_name": file.name,
        "media_type": file.media_type,
        "file_size": file.size,
        "sha256": file.sha256,
        "geometry": file.geometry,
        "meta_data": file.meta_data,
    }
