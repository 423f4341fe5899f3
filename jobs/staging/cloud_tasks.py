"""Around a task of a MapReduce job at a cloud: all that it reads and writes lies at signed addresses.

It runs `jobs.mapreduce.worker` alone in a container, which gets no credentials but one address, of its document; the
document has all others. An execution may wait in the cloud's line for IN_LINE, and then run for its timeout: the
document's address ends with the first, so that who starts too late fails at once, is tried again, and nobody finds
half of the addresses still good.

MAPREDUCE_CLOUD_STORAGE, below mapreduce/<job's uuid>/, until the job has ended:
    tasks/<execution's uuid>.json, .result.json    the document, and the result, which the worker puts
    pairs/<map task>-<number of its execution>     what a map task has left, all partitions in one object
    programs/<sha-256>                             copies, as the storage of artifacts may be out of a cloud's reach
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from clusters.providers.base import Work
from controlplane.core.encryption import SecretUnreadable
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered
from controlplane.core.storage import (
    NoSuchFile,
    Storage,
    StorageError,
    StorageRefused,
    StorageUnavailable,
    UploadAddress,
)
from controlplane.core.storage.base import LONGEST_URL_SECONDS
from jobs import states
from jobs.mapreduce.locations import OUTPUT_BUCKET
from jobs.mapreduce.worker.run import TASK_URL
from jobs.models import Execution, Job, MapReduceSpec, Shape
from jobs.queries import stores
from jobs.queries.artifacts import artifact_storage, path_of
from jobs.queries.own_storage import own_storage
from jobs.staging.facts import StagingFault
from jobs.staging.keeping import Kept
from jobs.staging.task_documents import (
    MAX_RESULT_BYTES,
    Left,
    check_done,
    check_none_lost,
    document_of,
    error_in,
    kept_of,
    left_by_maps,
    media_type_of,
    no_result,
    read_result,
    roles_of,
    spec_of,
    split_of,
)

FOLDER: Final = "mapreduce"
IN_LINE: Final = timedelta(hours=23)
SPARE_SECONDS: Final = 3600  # for bringing, and clocks that differ
LEAST_SECONDS: Final = 60
LOOK_SECONDS: Final = 60.0
JOBS_CLEARED_AT_ONCE: Final = 20
# What an address may be used for again: signing one takes a millisecond, and every reduce task wants one of each map.
_addresses: Remembered[str, tuple[float, str]] = Remembered(limit=20_000)
_listings: Remembered[UUID, tuple[float, dict[str, int]]] = Remembered(limit=20)


@dataclass(frozen=True, slots=True)
class Desk:
    """What one execution's task is written with: its job, the storage between, and how long addresses are to hold."""

    execution: Execution
    job: Job
    spec: MapReduceSpec
    storage: Storage
    seconds: int

    def path(self, name: str) -> str:
        return f"{FOLDER}/{self.spec.job.uuid}/{name}"

    @property
    def document(self) -> str:
        return self.path(f"tasks/{self.execution.uuid}.json")

    @property
    def result(self) -> str:
        return self.path(f"tasks/{self.execution.uuid}.result.json")

    def pairs(self, folder: str) -> str:
        return self.path(f"pairs/{folder}")


def _desk(execution: Execution) -> Desk:
    job = execution.job
    seconds = (job.timeout_seconds or 0) + int(IN_LINE.total_seconds()) + SPARE_SECONDS
    try:
        storage = _storage()
    except StorageRefused as error:
        raise _own_fault(error) from error
    return Desk(execution, job, spec_of(job), storage, min(seconds, LONGEST_URL_SECONDS))


def _storage() -> Storage:
    try:
        return own_storage(settings.MAPREDUCE_CLOUD_STORAGE)
    except InvalidRequest as error:
        raise StorageRefused("MAPREDUCE_CLOUD_STORAGE cannot be used; see `manage.py check`.") from error


def bring(execution: Execution, alive: Callable[[], None]) -> None:
    """Write the task's document. As jobs.staging.bring; raises StorageUnavailable to be called again soon."""
    desk = _desk(execution)
    document = document_of(desk.job, desk.spec)
    # Before anything is there, so that it is removed whatever happens.
    MapReduceSpec.objects.filter(pk=desk.spec.pk, to_clear=False).update(to_clear=True)
    try:
        for member, role in roles_of(desk.job, desk.spec).items():
            arguments = list(desk.spec.arguments.get(role, ()))
            document[member] = {"place": {"url": _program(desk, role)}, "arguments": arguments}
            alive()
        document["result"] = _target(desk.storage.upload_url(desk.result, desk.seconds))
        if desk.job.shape == Shape.MAP:
            document["input"] = [_split(desk)]
            document["output"] = _target(desk.storage.upload_url(desk.pairs(_folder(execution)), desk.seconds))
        else:
            document["input"] = _left(desk, alive)
            document["output"] = _output(desk)
        desk.storage.put(desk.document, [json.dumps(document).encode()], media_type="application/json")
    except StorageUnavailable as error:
        _give_up_after(execution.created_at, "pre-timeout", error)
        raise
    except StorageError as error:
        raise _own_fault(error) from error


def work(execution: Execution) -> Work:
    """What a cloud runs, once the document is there."""
    desk, job = _desk(execution), execution.job
    assert execution.prepared_at is not None
    left = (execution.prepared_at + IN_LINE - timezone.now()).total_seconds()
    # One that is too late runs against a wall soon, and is tried again.
    try:
        url = desk.storage.url(desk.document, max(LEAST_SECONDS, int(left)))
    except StorageError as error:
        raise _own_fault(error) from error
    return Work(
        execution_id=str(execution.uuid),
        image=settings.MAPREDUCE_IMAGE,
        command=[],
        image_entrypoint=True,
        env={TASK_URL: _signed(url), "LC_ALL": "C.UTF-8"},
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        timeout_seconds=job.timeout_seconds,
        priority=job.priority,
    )


def keep(execution: Execution, alive: Callable[[], None]) -> Kept:
    """Note what the worker says it has left. As jobs.staging.keep, and raises as `bring`."""
    desk = _desk(execution)
    try:
        result = read_result(_read(desk))
        alive()
        if desk.job.shape == Shape.REDUCE:
            _check_input_was_there(desk, error_in(result))
    except StorageUnavailable as error:
        _give_up_after(execution.stopped_at, "post-timeout", error)
        raise
    except StorageError as error:
        raise _own_fault(error) from error
    check_done(result)
    if desk.job.shape == Shape.MAP:
        return kept_of(desk.job, result, folder=_folder(execution))
    return kept_of(desk.job, result, path=_output_path(desk))


def clear_leftovers(place_id: int, seconds: float) -> None:
    """Remove what lies between the tasks of jobs of a place that have ended, for so long. Raises StorageError."""
    until = time.monotonic() + seconds
    ended = MapReduceSpec.objects.filter(to_clear=True, job__place=place_id, job__status__in=states.FINAL)
    for job_id, uuid in ended.order_by("pk").values_list("pk", "job__uuid")[:JOBS_CLEARED_AT_ONCE]:
        storage = _storage()
        for path, _ in storage.walk(f"{FOLDER}/{uuid}"):
            storage.delete(path)
            if time.monotonic() > until:
                return
        _listings.pop(uuid, None)
        ended.filter(pk=job_id).update(to_clear=False)


# --- Addresses ---------------------------------------------------------------------------------------


def _signed(url: str | None) -> str:
    if url is None:
        raise StagingFault("cannot-start", "MAPREDUCE_CLOUD_STORAGE gives no addresses: it has no key to sign them.")
    return url


def _target(address: UploadAddress | None) -> dict[str, Any]:
    _signed(None if address is None else address.url)
    assert address is not None
    return {"url": address.url, "headers": dict(address.headers)}


def _folder(execution: Execution) -> str:
    """The name of what a map task's execution leaves: each try has its own, which nobody else writes."""
    return f"{execution.job.part}-{execution.number}"


def _program(desk: Desk, role: str) -> str:
    """The address of the job's copy of a program."""
    version = getattr(desk.spec, role)
    path = desk.path(f"programs/{version.sha256}")
    try:
        desk.storage.stat(path)
    except NoSuchFile:
        try:
            stored = desk.storage.put(path, artifact_storage().get(path_of(version)))
        except (StorageError, InvalidRequest) as error:
            raise StagingFault("program-unreadable", f"The program could not be fetched: {error}") from error
        if stored.sha256 != version.sha256:
            desk.storage.delete(path)
            raise StagingFault("program-unreadable", "The program is not what was uploaded.") from None
    return _shared(desk, path)


def _shared(desk: Desk, path: str) -> str:
    """An address for reading that many tasks may have."""
    until, url = _addresses.get(path, (0.0, ""))
    now = time.time()
    if until < now + desk.seconds:
        life = min(desk.seconds + SPARE_SECONDS, LONGEST_URL_SECONDS)
        url = _signed(desk.storage.url(path, life))
        _addresses.put(path, (now + life, url))
    return url


def _split(desk: Desk) -> dict[str, Any]:
    split = split_of(desk.job, desk.spec)
    try:
        store, _ = stores.open_store(split.location, stores.credentials_of(desk.spec, "input"))
        url = store.url(split.key, desk.seconds)
    except (StorageError, InvalidRequest, SecretUnreadable) as error:
        raise StagingFault("input-refused", f"{split.key}: {error.message}") from error
    if url is None:
        raise StagingFault("input-refused", f"{split.key}: files of this machine cannot be read from a cloud.")
    return {"url": url, **split.part}


def _output_path(desk: Desk) -> str:
    location = stores.output_of(desk.spec)
    assert desk.job.part is not None
    return stores.output_path(desk.spec, location.key.removesuffix("/"), desk.job.part)


def _output(desk: Desk) -> dict[str, Any]:
    """Where a reduce task writes its object: whole, or not at all."""
    location = stores.output_of(desk.spec)
    try:
        store, _ = stores.open_store(location, stores.credentials_of(desk.spec, "output"))
        if location.bucket == OUTPUT_BUCKET:
            _make_bucket(store)
        address = store.upload_url(_output_path(desk), desk.seconds, media_type=media_type_of(desk.spec))
    except StorageUnavailable as error:
        raise StagingFault("output-unwritable", error.message) from error
    except (StorageError, InvalidRequest, SecretUnreadable) as error:
        raise StagingFault("output-refused", error.message) from error
    if address is None:
        raise StagingFault("output-refused", "Files of this machine cannot be written from a cloud.")
    return _target(address)


def _make_bucket(store: Storage) -> None:
    from controlplane.core.storage.s3 import S3Storage

    if isinstance(store, S3Storage):
        store.make_bucket()


# --- What map tasks have left ------------------------------------------------------------------------


def _left(desk: Desk, alive: Callable[[], None]) -> list[dict[str, Any]]:
    """What all map tasks have left for this partition, ordered by map task."""
    all_left, lost = left_by_maps(desk.job)
    there = _listing(desk, all_left)
    found = []
    for left in all_left:
        path = desk.pairs(left.folder)
        if there.get(path) != left.whole:
            lost.append(left.part)
            continue
        part = {"start": left.start, "size": left.size, "map": left.part, "partition": left.partition}
        found.append({"url": _shared(desk, path), **part})
        alive()
    check_none_lost(sorted(lost))
    return found


def _listing(desk: Desk, wanted: list[Left]) -> dict[str, int]:
    """The bytes of all that map tasks have left, as it was a moment ago; looked at anew where something is amiss."""
    uuid = desk.spec.job.uuid
    until, there = _listings.get(uuid, (0.0, {}))
    amiss = any(there.get(desk.pairs(left.folder)) != left.whole for left in wanted)
    if amiss or time.monotonic() > until:
        there = dict(desk.storage.walk(desk.path("pairs")))
        _listings.put(uuid, (time.monotonic() + LOOK_SECONDS, there))
    return there


def _check_input_was_there(desk: Desk, error: Mapping[str, Any]) -> None:
    """When a reduce task could not read what a map task has left: have that run again if it is gone, or try anew."""
    part = error.get("map")
    if not isinstance(part, int):
        return
    found, lost = left_by_maps(desk.job)
    for left in found:
        if left.part == part and not _is_whole(desk, left):
            lost.append(part)
    check_none_lost([part] if part in lost else [])
    # It ran again for another reduce task's sake, or is there after all.
    raise StagingFault("input-unreadable", str(error.get("message", ""))[:1000])


def _is_whole(desk: Desk, left: Left) -> bool:
    try:
        return desk.storage.stat(desk.pairs(left.folder)).size == left.whole
    except NoSuchFile:
        return False


# --- Its own storage ---------------------------------------------------------------------------------


def _read(desk: Desk) -> bytes:
    """The result, or a byte more of it than there may be."""
    text = bytearray()
    try:
        for chunk in desk.storage.get(desk.result):
            text += chunk[: MAX_RESULT_BYTES + 1 - len(text)]
    except NoSuchFile as error:
        raise no_result() from error
    return bytes(text)


def _own_fault(error: StorageError) -> StagingFault:
    return StagingFault("filesystem-io", f"The storage between the tasks of jobs at clouds failed: {error.message}")


def _give_up_after(since: datetime | None, error_name: str, error: StorageUnavailable) -> None:
    """Raise StagingFault once it has failed for too long."""
    if since is not None and timezone.now() - since > timedelta(seconds=settings.STAGING_TIMEOUT_SECONDS):
        raise StagingFault(error_name, error.message) from error
