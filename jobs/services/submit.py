"""Submitting jobs: from 1 to 10 000 at once, all or none."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from accounts.queries import is_token_of
from accounts.services import ensure_customer
from controlplane.core import remembered, sets
from controlplane.core.encryption import encrypt
from controlplane.core.errors import Unauthorized
from controlplane.core.ids import uuid7
from jobs import gates, queries, sql, states
from jobs.errors import QuotaExceeded
from jobs.models import Gate, Job, Lane, Priority, Shape
from jobs.services.places import lane_id, place_id

DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class SeedPart:
    """What makes a job a Seed job: its job type, the revision it runs, and what it takes in."""

    job_type_id: int
    revision_id: int
    input: Mapping[str, Any]
    input_bytes: int
    configuration: Mapping[str, Any] | None = None
    recipe_id: int | None = None
    supersedes: int | None = None

    def row(self) -> tuple[Any, ...]:
        """In the order of sql.JOB_FIELDS."""
        own = None if self.configuration is None else dict(self.configuration)
        taken = (self.job_type_id, self.revision_id, dict(self.input), own, self.input_bytes)
        return (Shape.SEED.value, *taken, self.recipe_id, self.supersedes, None, None)


@dataclass(frozen=True, slots=True)
class MapReducePart:
    """What makes a job a MapReduce job, or a task of the one whose id is `parent`. `split` is a map task's."""

    shape: str = Shape.MAPREDUCE
    parent: int | None = None
    part: int | None = None
    split: Mapping[str, Any] | None = None
    input_bytes: int | None = None
    supersedes: int | None = None

    def row(self) -> tuple[Any, ...]:
        """In the order of sql.JOB_FIELDS."""
        split = None if self.split is None else dict(self.split)
        return (
            str(self.shape),
            None,
            None,
            split,
            None,
            self.input_bytes,
            None,
            self.supersedes,
            self.parent,
            self.part,
        )


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as asked for. `queue` empty: the priority chooses. Units as in jobs.models.Job.

    With a `machine_image` it is an instance job, and boots with `user_data`.
    """

    customer: str
    region: str
    classification: str
    command: Sequence[str]
    cloud: str = "local"
    image: str = ""
    machine_image: str = ""
    user_data: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Sequence[str] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)
    vcpus_milli: int | None = None
    memory_mib: int | None = None
    priority: int = Priority.LOW
    queue: str = ""
    timeout_seconds: int | None = None
    max_tries: int | None = None
    retry_of: int | None = None
    seed: SeedPart | None = None
    mapreduce: MapReducePart | None = None

    def kind(self) -> SeedPart | MapReducePart | None:
        return self.seed or self.mapreduce


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that was accepted."""

    id: int
    uuid: uuid.UUID


def submit_jobs(
    *, owner: User, requests: Sequence[JobRequest], token_digest: str | None = None, status: str = states.QUEUED
) -> list[Submitted]:
    """Queue `requests` for `owner`, in their order, and wake the scheduler; or let them be PENDING.

    The requests are valid already: surfaces check what people type. `token_digest`: only if that is a
    live token of `owner` as they are here, checked in the same step; else Unauthorized. Raises
    InvalidRequest for a region that does not exist, QuotaExceeded when fewer may wait.
    """
    if not requests:
        return []
    try:
        return _submit(owner, requests, token_digest, status)
    except IntegrityError:
        if connection.in_atomic_block:
            raise
        # A lane that this process remembers is gone: the database was emptied under us.
        remembered.forget_all()
        return _submit(owner, requests, token_digest, status)


def _submit(owner: User, requests: Sequence[JobRequest], token_digest: str | None, status: str) -> list[Submitted]:
    found: dict[LineKey, Line] = {}
    rows = [_row(owner.pk, request, found) for request in requests]
    queues = {sql.pulse_queue(request.cloud, request.region) for request in requests}
    ids: dict[uuid.UUID, int] = {}
    if sets.is_postgresql():
        scopes = {f"{scope}:{scope_id}" for key, line in found.items() for scope, scope_id in _scopes(owner, key, line)}
        ids = sql.submit(owner, rows, queues, token_digest=token_digest, unless_bounded=list(scopes), status=status)
    if not ids:
        with transaction.atomic():
            if token_digest is not None and not is_token_of(token_digest, owner):
                raise Unauthorized
            if status == states.QUEUED:
                check_quotas(owner, requests, found)
            ids = sql.submit(owner, rows, queues, status=status)
    return [Submitted(ids[row[0]], row[0]) for row in rows]


def _scopes(owner: User, key: LineKey, line: Line) -> tuple[gates.ScopeKey, ...]:
    customer, place, _ = line
    lane = Lane(place_id=place, customer_id=customer, owner_id=owner.pk, queue=key[3], job_type_id=key[6])
    return gates.scopes(lane)


def check_quotas(
    owner: User, requests: Sequence[JobRequest], found: Mapping[LineKey, Line], *, lock: bool = True
) -> None:
    """Raise QuotaExceeded when these jobs are more than may wait.

    Caller holds the transaction of the submit; with `lock` False there is none, and the answer is of now only.
    """
    gates_by_scope = {(gate.scope, gate.scope_id): gate for gate in Gate.objects.filter(max_queued_jobs__isnull=False)}
    if not gates_by_scope:
        return
    wanted: Counter[gates.ScopeKey] = Counter()
    for request in requests:
        key = line_key(request)
        wanted.update(scope for scope in _scopes(owner, key, found[key]) if scope in gates_by_scope)
    # In the order of the claim, so that nobody waits for each other.
    touched = [gates_by_scope[scope].pk for scope in wanted]
    rows = Gate.objects.select_for_update() if lock else Gate.objects.all()
    for gate in rows.filter(pk__in=touched).order_by("pk"):
        scope = (gate.scope, gate.scope_id)
        limit = gate.max_queued_jobs or 0
        queued = Job.objects.filter(status=states.QUEUED, lane__in=queries.lanes_of(*scope))[: limit + 1].count()
        if queued + wanted[scope] > limit:
            raise QuotaExceeded(
                f"The quota of this {gate.scope} is {limit} queued jobs; {min(queued, limit)} are queued, and"
                f" {wanted[scope]} more do not fit."
            )


_CONTAINER: Final = (Shape.CONTAINER.value, *[None] * 9)
_INSTANCE: Final = (Shape.INSTANCE.value, *[None] * 9)

# customer, cloud, region, queue, vcpus_milli, memory_mib, job type -> the ids of customer, place and lane
LineKey = tuple[str, str, str, str, int, int, int | None]
Line = tuple[int, int, int]


def _line(owner_id: int, key: LineKey) -> Line:
    customer_name, cloud, region, queue, vcpus_milli, memory_mib, job_type = key
    place, customer = place_id(cloud, region), ensure_customer(customer_name)
    return customer, place, lane_id(place, customer, owner_id, queue, vcpus_milli, memory_mib, job_type)


def line_key(request: JobRequest) -> LineKey:
    """What decides in which lane a job stands, with what it did not ask for filled in."""
    vcpus = request.vcpus_milli or settings.DEFAULT_VCPUS_MILLI
    memory = request.memory_mib or settings.DEFAULT_MEMORY_MIB
    queue, job_type = request.queue or DEFAULT_QUEUE, request.seed.job_type_id if request.seed else None
    return request.customer, request.cloud, request.region, queue, vcpus, memory, job_type


def _row(owner_id: int, request: JobRequest, found: dict[LineKey, Line]) -> tuple[Any, ...]:
    """One row in the order of sql.JOB_FIELDS; `found` keeps the lines that this batch has looked up."""
    key, kind = line_key(request), request.kind()
    if key not in found:
        found[key] = _line(owner_id, key)
    tries = request.max_tries or settings.DEFAULT_MAX_TRIES
    return (
        uuid7(),
        *found[key],
        request.classification,
        request.machine_image or request.image,
        list(request.command),
        encrypt(dict(request.env)),
        encrypt({"user_data": request.user_data}) if request.user_data else "",
        list(request.secret_env),
        dict(request.tags),
        *key[4:6],
        request.priority,
        request.queue,
        request.timeout_seconds,
        tries,
        tries,
        request.retry_of,
        *(kind.row() if kind else _INSTANCE if request.machine_image else _CONTAINER),
    )
