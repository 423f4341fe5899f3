"""Submitting jobs: from 1 to 10 000 at once, all or none."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from accounts.queries import is_token_of
from accounts.services import ensure_customer
from controlplane.core import remembered, sets
from controlplane.core.encryption import encrypt
from controlplane.core.errors import Unauthorized
from controlplane.core.ids import uuid7
from jobs import sql
from jobs.models import Priority
from jobs.services.places import lane_id, place_id

DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as asked for. `queue` empty: the priority chooses. Units as in jobs.models.Job."""

    customer: str
    region: str
    classification: str
    command: Sequence[str]
    cloud: str = "local"
    image: str = ""
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


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that was accepted."""

    id: int
    uuid: uuid.UUID


def submit_jobs(*, owner: User, requests: Sequence[JobRequest], token_digest: str | None = None) -> list[Submitted]:
    """Queue `requests` for `owner`, in their order, and wake the scheduler.

    The requests are valid already: surfaces check what people type. `token_digest`: only if that is a
    live token of `owner` as they are here, checked in the same step; else Unauthorized. Raises
    InvalidRequest for a region that does not exist.
    """
    if not requests:
        return []
    try:
        return _submit(owner, requests, token_digest)
    except IntegrityError:
        if connection.in_atomic_block:
            raise
        # A lane that this process remembers is gone: the database was emptied under us.
        remembered.forget_all()
        return _submit(owner, requests, token_digest)


def _submit(owner: User, requests: Sequence[JobRequest], token_digest: str | None) -> list[Submitted]:
    found: dict[LineKey, Line] = {}
    rows = [_row(owner.pk, request, found) for request in requests]
    queues = {sql.pulse_queue(request.cloud, request.region) for request in requests}
    if sets.is_postgresql():
        ids = sql.submit(owner, rows, queues, token_digest)
    else:
        with transaction.atomic():
            if token_digest is not None and not is_token_of(token_digest, owner):
                raise Unauthorized
            ids = sql.submit(owner, rows, queues)
    if not ids:
        raise Unauthorized
    return [Submitted(ids[row[0]], row[0]) for row in rows]


# customer, cloud, region, queue, vcpus_milli, memory_mib -> the ids of customer, place and lane
LineKey = tuple[str, str, str, str, int, int]
Line = tuple[int, int, int]


def _line(owner_id: int, key: LineKey) -> Line:
    customer_name, cloud, region, queue, vcpus_milli, memory_mib = key
    place, customer = place_id(cloud, region), ensure_customer(customer_name)
    return customer, place, lane_id(place, customer, owner_id, queue, vcpus_milli, memory_mib)


def _row(owner_id: int, request: JobRequest, found: dict[LineKey, Line]) -> tuple[Any, ...]:
    """One row in the order of sql.JOB_FIELDS; `found` keeps the lines that this batch has looked up."""
    vcpus = request.vcpus_milli or settings.DEFAULT_VCPUS_MILLI
    memory = request.memory_mib or settings.DEFAULT_MEMORY_MIB
    key = (request.customer, request.cloud, request.region, request.queue or DEFAULT_QUEUE, vcpus, memory)
    if key not in found:
        found[key] = _line(owner_id, key)
    return (
        uuid7(),
        *found[key],
        request.classification,
        request.image,
        list(request.command),
        encrypt(dict(request.env)),
        list(request.secret_env),
        dict(request.tags),
        vcpus,
        memory,
        request.priority,
        request.queue,
        request.timeout_seconds,
        request.max_tries or settings.DEFAULT_MAX_TRIES,
        request.retry_of,
    )
