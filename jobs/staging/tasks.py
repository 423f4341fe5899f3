"""Around a task of a MapReduce job: its split, or what the map tasks have left, is brought; what it leaves is kept.

It runs `jobs.mapreduce.worker`, which sees the program, its input and a folder of its own, and no network: whatever
lies elsewhere is carried here, with credentials that never leave this process.

LOCAL_ROOT/mapreduce/<job's uuid>/<map task>-<execution>/    what a map task has left, a file for each partition
LOCAL_ROOT/programs/<sha-256>                                programs, as they are used
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from clusters.providers.base import Mount, Work
from controlplane.core.encryption import SecretUnreadable
from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import NoSuchFile, Storage, StorageError, StorageRefused, StorageUnavailable
from controlplane.core.storage.base import CHUNK_BYTES
from jobs import states
from jobs.mapreduce import worker
from jobs.mapreduce.locations import OUTPUT_BUCKET
from jobs.models import ArtifactVersion, Execution, Job, MapReduceSpec, Protocol, Shape
from jobs.queries import stores
from jobs.queries.artifacts import artifact_storage, path_of
from jobs.staging.facts import StagingFault
from jobs.staging.keeping import Kept
from jobs.staging.rooms import Room, room_of
from jobs.staging.task_documents import (
    MAX_RESULT_BYTES,
    check_done,
    check_none_lost,
    document_of,
    kept_of,
    left_by_maps,
    media_type_of,
    no_result,
    read_result,
    roles_of,
    spec_of,
    split_of,
)

WORKER: Final = str(Path(worker.__file__).resolve().parent)
_ID: Final = re.compile(r"[0-9]+-[0-9]+")
_PAIRS: Final = "pairs"
_TMP: Final = "tmp"
_OBJECT: Final = "object"
_TASK: Final = "task.json"
_RESULT: Final = "task.result.json"
PROGRAM_UNUSED_SECONDS: Final = 86400.0


def bring(execution: Execution, alive: Callable[[], None]) -> None:
    """Make the task's room: its program, its input, its task document. As jobs.staging.bringing."""
    job, spec, room = execution.job, spec_of(execution.job), room_of(execution.uuid)
    try:
        room.make()
        for name in (_TMP, _PAIRS):
            _make_open(room.output / name)
        mounts: list[str] = [WORKER]
        document = _document(execution, spec, room, mounts)
        if job.shape == Shape.MAP:
            document["input"] = [_split(job, spec, room, mounts, alive)]
        else:
            document["input"] = _left(job, spec, mounts)
        room.metadata.write_text(json.dumps(sorted(set(mounts))))
        (room.output / _TASK).write_text(json.dumps(document))
    except OSError as error:
        raise StagingFault("filesystem-io", f"Its input could not be written here: {error.strerror}.") from error


def _make_open(folder: Path) -> None:
    """A folder of ours for a task whose user, in a container, is another: it may write there, and we move it away."""
    folder.mkdir()
    folder.chmod(0o777)


def work(execution: Execution) -> Work:
    """What a provider runs, once the room is there."""
    job, room = execution.job, room_of(execution.uuid)
    shown = json.loads(room.metadata.read_text())
    python = "python3" if settings.LOCAL_RUNTIME == "docker" else os.path.realpath(sys.executable)
    return Work(
        execution_id=str(execution.uuid),
        image=settings.MAPREDUCE_IMAGE,
        command=[python, "-I", "-S", WORKER, str(room.output / _TASK)],
        env={"TMPDIR": str(room.output / _TMP), "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        timeout_seconds=job.timeout_seconds,
        priority=job.priority,
        network=False,
        mounts=[*(Mount(path, path) for path in shown), Mount(str(room.output), str(room.output), read_only=False)],
    )


def keep(execution: Execution, alive: Callable[[], None]) -> Kept:
    """Keep what the task has left: of a map task beside the others', of a reduce task where the job wants it."""
    job, spec, room = execution.job, spec_of(execution.job), room_of(execution.uuid)
    result = _result(room)
    check_done(result)
    if job.shape == Shape.MAP:
        return kept_of(job, result, folder=_keep_pairs(execution, spec, room))
    return kept_of(job, result, path=_put(job, spec, room, alive))


# --- The task document -------------------------------------------------------------------------------


def _document(execution: Execution, spec: MapReduceSpec, room: Room, mounts: list[str]) -> dict[str, Any]:
    job = execution.job
    document = document_of(job, spec)
    document["output"] = {"path": str(room.output / (_PAIRS if job.shape == Shape.MAP else _OBJECT))}
    for member, role in roles_of(job, spec).items():
        document[member] = _command(spec, role, mounts)
    if spec.protocol == Protocol.APOLLO and settings.LOCAL_RUNTIME != "docker" and not settings.LOCAL_ISOLATION:
        detail = "Programs of the apollo protocol want a /tmp of their own, so isolation: LOCAL_ISOLATION is off here."
        raise StagingFault("cannot-start", detail)
    return document


def _command(spec: MapReduceSpec, role: str, mounts: list[str]) -> list[str]:
    path = _program(getattr(spec, role))
    mounts.append(path)
    return [path, *spec.arguments.get(role, ())]


def _program(version: ArtifactVersion) -> str:
    """Where a program lies here, whole and as it was uploaded; brought once, for all tasks."""
    path = _programs() / version.sha256
    try:
        os.utime(path)
        return str(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    half = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        stored = artifact_storage().fetch(path_of(version), str(half))
        if stored.sha256 != version.sha256:
            raise StagingFault("program-unreadable", "The program is not what was uploaded.")
        half.chmod(0o755)
        half.replace(path)
    except (StorageError, InvalidRequest) as error:
        raise StagingFault("program-unreadable", f"The program could not be fetched: {error}") from error
    finally:
        half.unlink(missing_ok=True)
    return str(path)


def _programs() -> Path:
    return Path(settings.LOCAL_ROOT).resolve() / "programs"


# --- Input of map tasks ------------------------------------------------------------------------------


def _split(job: Job, spec: MapReduceSpec, room: Room, mounts: list[str], alive: Callable[[], None]) -> dict[str, Any]:
    split = split_of(job, spec)
    try:
        store, _ = stores.open_store(split.location, stores.credentials_of(spec, "input"))
        local = store.local_path(split.key)
        if local is not None:
            mounts.append(local)
            return {"path": local, **split.part}
        return _copied(store, split.key, split.part, room.input / "split", alive, mounts)
    except (NoSuchFile, StorageRefused, InvalidRequest, SecretUnreadable) as error:
        raise StagingFault("input-refused", f"{split.key}: {error.message}") from error
    except StorageError as error:
        raise StagingFault("input-unreadable", f"{split.key}: {error.message}") from error


def _copied(
    store: Storage, key: str, split: dict[str, Any], target: Path, alive: Callable[[], None], mounts: list[str]
) -> dict[str, Any]:
    """The lines of a split as a file: from the byte before it, which tells whether a line begins there, to the end
    of the line that its last byte is in."""
    mounts.append(str(target))
    before = 1 if split["start"] else 0
    begin = split["start"] - before
    with open(target, "xb") as file:
        for piece in _to_line_end(store.get(key, begin), split["end"] - begin, split["gzip"]):
            file.write(piece)
            alive()
        size = file.tell()
    if size < split["end"] - begin:
        raise StagingFault("input-refused", f"{key} has become shorter since the job was submitted.")
    return {"path": str(target), **split, "start": before, "end": split["end"] - begin, "size": size}


def _to_line_end(chunks: Iterator[bytes], least: int, whole: bool) -> Iterator[bytes]:
    """At least so many bytes, and then to the end of the line that the last of them is in."""
    seen = 0
    for chunk in chunks:
        # A line that ends with the last byte of the split ends there.
        from_byte = max(0, least - 1 - seen)
        at = -1 if whole or from_byte >= len(chunk) else chunk.find(b"\n", from_byte)
        if at >= 0:
            yield chunk[: at + 1]
            return
        seen += len(chunk)
        yield chunk


# --- Input of reduce tasks ---------------------------------------------------------------------------


def _left(job: Job, spec: MapReduceSpec, mounts: list[str]) -> list[dict[str, Any]]:
    """What all map tasks have left for this partition, ordered by map task."""
    shared, found = pairs_of(spec.job.uuid), []
    all_left, lost = left_by_maps(job)
    for left in all_left:
        path = shared / left.folder / str(left.partition)
        if _has_size(path, left.size):
            found.append({"path": str(path), "map": left.part, "partition": left.partition, "size": left.size})
        else:
            lost.append(left.part)
    check_none_lost(sorted(lost))
    if found:
        mounts.append(str(shared))
    return found


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def pairs_of(uuid: UUID) -> Path:
    """The folder of what the map tasks of a job leave."""
    return Path(settings.LOCAL_ROOT).resolve() / "mapreduce" / str(uuid)


# --- What a task leaves ------------------------------------------------------------------------------


def _result(room: Room) -> dict[str, Any]:
    """The worker's own word, which the program could have written, too. Raises StagingFault when it is no good one."""
    try:
        with open(room.output / _RESULT, "rb") as file:
            text = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise no_result() from error
    return read_result(text)


def _keep_pairs(execution: Execution, spec: MapReduceSpec, room: Room) -> str:
    """Take a map task's pairs out of its reach, at once or not at all; the name of the folder they are in."""
    job = execution.job
    name = f"{job.part}-{execution.number}"
    target = pairs_of(spec.job.uuid) / name
    if target.is_dir():  # kept before, by somebody who did not live to say so
        return name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    half = target.with_name(f".{name}")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o755)
    prefix = f"{spec.job.uuid}-m-{job.part}_"
    source = room.output / _PAIRS
    for each in os.listdir(source) if source.is_dir() else ():
        if each.startswith(prefix) and (source / each).is_file() and not (source / each).is_symlink():
            os.rename(source / each, half / each.removeprefix(prefix))
    half.rename(target)
    return name


def _put(job: Job, spec: MapReduceSpec, room: Room, alive: Callable[[], None]) -> str:
    """Write a reduce task's object where the job wants it; its path there."""
    location = stores.output_of(spec)
    assert job.part is not None
    try:
        store, prefix = stores.open_store(location, stores.credentials_of(spec, "output"))
        path = stores.output_path(spec, prefix, job.part)
        try:
            store.put(path, _chunks(room.output / _OBJECT, alive), media_type=media_type_of(spec))
        except StorageRefused:
            if location.is_file or location.bucket != OUTPUT_BUCKET:
                raise
            _make_bucket(store)
            store.put(path, _chunks(room.output / _OBJECT, alive), media_type=media_type_of(spec))
    except (StorageRefused, InvalidRequest, SecretUnreadable) as error:
        raise StagingFault("output-refused", error.message) from error
    except StorageUnavailable as error:
        raise StagingFault("output-unwritable", error.message) from error
    except StorageError as error:
        raise StagingFault("output-unwritable", error.message) from error
    return path


def _make_bucket(store: Storage) -> None:
    from controlplane.core.storage.s3 import S3Storage

    assert isinstance(store, S3Storage)
    store.make_bucket()


def _chunks(path: Path, alive: Callable[[], None]) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise StagingFault("worker-failed", "The object that the worker names is not there.") from error
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            alive()
            yield chunk


# --- Clearing up -------------------------------------------------------------------------------------


def clear_leftovers() -> None:
    """Remove what the map tasks of jobs that have ended have left, and programs that nobody has used for a day."""
    root = Path(settings.LOCAL_ROOT).resolve() / "mapreduce"
    there = {name for name in (os.listdir(root) if root.is_dir() else ()) if _is_uuid(name)}
    alive = Job.objects.filter(uuid__in=there, shape=Shape.MAPREDUCE).exclude(status__in=states.FINAL)
    for name in there - {str(uuid) for uuid in alive.values_list("uuid", flat=True)}:
        shutil.rmtree(root / name, ignore_errors=True)
    old = time.time() - PROGRAM_UNUSED_SECONDS
    for program in _programs().iterdir() if _programs().is_dir() else ():
        if program.stat().st_mtime < old:
            program.unlink(missing_ok=True)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
