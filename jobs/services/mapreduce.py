"""MapReduce jobs: submitted, and their input looked for. `mapreduce_steps` carries them on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from controlplane.core.connections import give_back
from controlplane.core.encryption import SecretUnreadable, encrypt
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from controlplane.core.storage import Storage, StorageUnavailable
from jobs import states
from jobs.errors import ArtifactNotFound, JobState
from jobs.mapreduce.locations import Location, read_input, read_output
from jobs.mapreduce.splits import count_of
from jobs.models import ArtifactVersion, Job, MapReduceSpec, Priority, Protocol
from jobs.queries import stores
from jobs.services.cancel import LOOK_FOR_INPUT
from jobs.services.mapreduce_steps import Step, fail
from jobs.services.requests import JobRequest, MapReducePart
from jobs.services.submit import submit_jobs

logger = logging.getLogger("jobs.mapreduce")
MAX_REDUCERS: Final = 10_000
MAX_INPUTS: Final = 1000
MAX_OBJECTS: Final = 100_000
MAX_SPLITS: Final = 1_000_000
MAX_CLOUD_SPLITS: Final = 10_000  # a reduce task's document has an address for each
MAX_CLOUD_TIMEOUT_SECONDS: Final = 6 * 86400  # addresses hold a week, of which a task may wait a day
MAX_LOOKS: Final = 5
LOOK_AGAIN_AFTER: Final = timedelta(seconds=15)
SIDES: Final = ("input", "output")


@dataclass(frozen=True, slots=True)
class MapReduceWish:
    """A MapReduce job as asked for. What stands for each of its tasks: vcpus_milli … max_tries.

    `credentials`: {"input": {"username", "password"}, "output": …}, as far as there are any. `fields` are the
    names that the caller's own surface has for ours.
    """

    mapper: ArtifactVersion
    reducer: ArtifactVersion
    protocol: str
    inputs: Sequence[str]
    output: str
    reducers: int
    combiner: ArtifactVersion | None = None
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    use_ssl: bool = False
    split_bytes: int | None = None
    max_parallel: int | None = None
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    customer: str = ""
    cloud: str = "local"
    region: str = ""
    classification: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    vcpus_milli: int | None = None
    memory_mib: int | None = None
    priority: int = Priority.LOW
    queue: str = ""
    timeout_seconds: int | None = None
    max_tries: int | None = None
    retry_of: int | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> str:
        return self.fields.get(name, name)


def submit_mapreduce(*, owner: User, wish: MapReduceWish) -> Job:
    """Take a MapReduce job; its input is looked for in the background. The artifacts are the owner's to read.

    Raises InvalidRequest naming the field.
    """
    request = mapreduce_request(owner, wish)
    flat = {f"{side}.{name}": text for side, pair in wish.credentials.items() for name, text in pair.items()}
    credentials = encrypt(flat)
    with transaction.atomic():
        _keep_programs(wish)
        made = submit_jobs(owner=owner, requests=[request], status=states.PENDING)[0]
        MapReduceSpec.objects.create(
            job_id=made.id,
            mapper=wish.mapper,
            reducer=wish.reducer,
            combiner=wish.combiner,
            arguments={name: list(words) for name, words in wish.arguments.items()},
            protocol=wish.protocol,
            reducers=wish.reducers,
            split_bytes=wish.split_bytes or settings.SPLIT_SIZE,
            max_parallel=wish.max_parallel,
            inputs=list(wish.inputs),
            output=wish.output,
            use_ssl=wish.use_ssl,
            credentials=credentials,
            had_credentials=bool(credentials),
        )
        enqueue(LOOK_FOR_INPUT, job_id=made.id)
    return Job.objects.select_related("customer", "owner", "place", "lane", "error", "mapreduce").get(pk=made.id)


def again(job: Job) -> MapReduceWish:
    """The wish that `job` was. Raises JobState when it had credentials, which were erased at its end."""
    spec = MapReduceSpec.objects.select_related("mapper__artifact", "reducer", "combiner").get(pk=job.pk)
    if spec.had_credentials:
        raise JobState("Its credentials were erased when it ended: submit it again, with them.")
    return MapReduceWish(
        mapper=spec.mapper,
        reducer=spec.reducer,
        combiner=spec.combiner,
        protocol=spec.protocol,
        arguments=spec.arguments,
        inputs=spec.inputs,
        output=spec.output,
        use_ssl=spec.use_ssl,
        reducers=spec.reducers,
        split_bytes=spec.split_bytes,
        max_parallel=spec.max_parallel,
        customer=job.customer.name,
        cloud=job.place.cloud,
        region=job.place.region,
        classification=job.classification,
        tags=job.tags,
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        priority=job.priority,
        queue=job.queue,
        timeout_seconds=job.timeout_seconds,
        max_tries=job.max_tries,
        retry_of=job.pk,
    )


def look_for_input(job_id: int) -> None:
    """Find the objects that a job reads and queue its first tasks, or fail it. Safe to call at any time, and twice.

    A store that cannot be reached is asked again later, a few times.
    """
    spec = (
        MapReduceSpec.objects.select_related("job__place")
        .filter(pk=job_id, splits=None, job__status=states.PENDING)
        .first()
    )
    if spec is None:
        return
    MapReduceSpec.objects.filter(pk=job_id).update(looks=F("looks") + 1)
    give_back()
    try:
        found = _objects(spec)
        _check_size(found, spec.split_bytes, MAX_CLOUD_SPLITS if spec.job.place.is_cloud else MAX_SPLITS)
    except StorageUnavailable as error:
        if spec.looks + 1 < MAX_LOOKS:
            logger.warning("the input of job %s cannot be looked at now: %s", job_id, error.message)
            return
        fail(job_id, "input-unreadable", error.message)
    except SecretUnreadable as error:
        fail(job_id, "input-unreadable", error.message)
    except ControlPlaneError as error:
        fail(job_id, "input-refused", error.message)
    else:
        _found(job_id, found)


def look_again() -> int:
    """Take up jobs whose input could not be looked at, or whose look was lost. Returns how many."""
    cutoff = timezone.now() - LOOK_AGAIN_AFTER
    rows = MapReduceSpec.objects.filter(splits=None, job__status=states.PENDING, job__modified_at__lt=cutoff)
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:100])
    for job_id in ids:
        Job.objects.filter(pk=job_id).update(modified_at=timezone.now())
        with transaction.atomic():
            enqueue(LOOK_FOR_INPUT, job_id=job_id)
    return len(ids)


# --- What is asked for -------------------------------------------------------------------------------


def _check(wish: MapReduceWish) -> None:
    if not 1 <= wish.reducers <= MAX_REDUCERS:
        raise InvalidRequest(f"This is a number from 1 to {MAX_REDUCERS}.", field=wish.named("reducers"))
    if wish.protocol not in Protocol.values:
        raise InvalidRequest(f"This is one of {', '.join(Protocol.values)}.", field=wish.named("protocol"))
    if wish.combiner is not None and wish.protocol != Protocol.STREAMING:
        raise InvalidRequest("A combiner is for programs of the streaming protocol.", field=wish.named("combiner"))
    if not 1 <= len(wish.inputs) <= MAX_INPUTS:
        raise InvalidRequest(f"From 1 to {MAX_INPUTS} locations are wanted.", field=wish.named("input"))
    inputs = [read_input(text, wish.named("input")) for text in wish.inputs]
    output = read_output(wish.output, wish.named("output"), use_ssl=wish.use_ssl)
    if wish.cloud != "local":
        _check_cloud(wish, inputs, output)
    for location in inputs:
        stores.check_allowed(location, wish.named("input"))
    stores.check_allowed(output, wish.named("output"))


def _check_cloud(wish: MapReduceWish, inputs: Sequence[Location], output: Location) -> None:
    """Whether such a job can run at a cloud, as that is set up here."""
    if not settings.MAPREDUCE_CLOUD_STORAGE:
        message = "MapReduce jobs run at cloud local only here: MAPREDUCE_CLOUD_STORAGE is not set."
        raise InvalidRequest(message, field=wish.named("cloud"))
    for name, location in (*(("input", each) for each in inputs), ("output", output)):
        if location.is_file:
            raise InvalidRequest("Tasks at a cloud see no files of this machine.", field=wish.named(name))
    if (wish.timeout_seconds or settings.MAPREDUCE_TASK_TIMEOUT_SECONDS) > MAX_CLOUD_TIMEOUT_SECONDS:
        message = f"A task at a cloud may run for {MAX_CLOUD_TIMEOUT_SECONDS} seconds: signed addresses hold no longer."
        raise InvalidRequest(message, field=wish.named("timeout_seconds"))


def _keep_programs(wish: MapReduceWish) -> None:
    """See that they are there, and stay. Caller holds the transaction. Raises ArtifactNotFound."""
    ids = {each.pk for each in (wish.mapper, wish.reducer, wish.combiner) if each is not None}
    rows = ArtifactVersion.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    if len(list(rows.values_list("pk"))) < len(ids):
        raise ArtifactNotFound


def mapreduce_request(owner: User, wish: MapReduceWish) -> JobRequest:
    """The root of a MapReduce job as `wish` asks for it. Raises InvalidRequest naming the field."""
    _check(wish)
    return JobRequest(
        customer=wish.customer or (owner.customer.name if owner.customer else settings.DEFAULT_CUSTOMER),
        cloud=wish.cloud,
        region=wish.region or settings.LOCAL_REGION,
        classification=wish.classification or "mapreduce",
        command=(),
        image=wish.mapper.artifact.name,
        tags=wish.tags,
        vcpus_milli=wish.vcpus_milli,
        memory_mib=wish.memory_mib,
        priority=wish.priority,
        queue=wish.queue,
        timeout_seconds=wish.timeout_seconds or settings.MAPREDUCE_TASK_TIMEOUT_SECONDS,
        max_tries=wish.max_tries,
        retry_of=wish.retry_of,
        mapreduce=MapReducePart(),
    )


# --- What is there -----------------------------------------------------------------------------------


def _objects(spec: MapReduceSpec) -> list[dict[str, Any]]:
    """The objects of all inputs, in the order of reading. Raises StorageError, InvalidRequest, SecretUnreadable."""
    credentials = stores.credentials_of(spec, "input")
    found: list[dict[str, Any]] = []
    for number, (text, location) in enumerate(zip(spec.inputs, stores.inputs_of(spec), strict=True)):
        store, path = stores.open_store(location, credentials)
        for key, size in _listed(store, path, location):
            shown = text if not location.is_prefix else f"{text.rstrip('/')}/{key.removeprefix(path).lstrip('/')}"
            found.append({"input": number, "key": key, "size": size, "path": shown})
        if len(found) > MAX_OBJECTS:
            raise InvalidRequest(f"The input has more than {MAX_OBJECTS} objects.")
    return found


def _listed(store: Storage, path: str, location: Location) -> list[tuple[str, int]]:
    if not location.is_prefix:
        return [(path, store.stat(path).size)]
    listed = []
    for each in store.walk(path):
        listed.append(each)
        if len(listed) > MAX_OBJECTS:
            break
    if not listed:
        raise InvalidRequest(f"There is nothing below {location.key or location.bucket}.")
    return listed


def _check_size(found: Sequence[dict[str, Any]], split_bytes: int, most: int) -> None:
    if (count := count_of(found, split_bytes)) > most:
        raise InvalidRequest(f"That would be {count} splits; there may be {most}. Ask for larger ones.")


def _found(job_id: int, found: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        step = Step.locked(job_id)
        if step is None or step.job.status != states.PENDING or step.spec.splits is not None:
            return
        spec = step.spec
        spec.objects_found, spec.input_bytes = found, sum(each["size"] for each in found)
        spec.splits = count_of(found, spec.split_bytes)
        spec.save(update_fields=["objects_found", "input_bytes", "splits"])
        Job.objects.filter(pk=job_id).update(input_bytes=spec.input_bytes)
        step.take()
