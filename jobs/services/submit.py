"""Submitting jobs: from 1 to 10 000 at once, all or none."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.queries import is_token_of
from accounts.services import ensure_customer
from controlplane.core import remembered, sets
from controlplane.core.encryption import encrypt
from controlplane.core.errors import Unauthorized
from controlplane.core.ids import uuid7
from jobs import gates, queries, sql, states
from jobs.errors import QuotaExceeded
from jobs.models import Gate, Job, Lane, Shape
from jobs.queries.rates import Rates
from jobs.services.ladder import affordable
from jobs.services.places import lane_id, place_id
from jobs.services.placing import placed
from jobs.services.policies import digest_of, policy_id
from jobs.services.requests import NO_POLICY, JobRequest, LineKey, line_key


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
    InvalidRequest for a region that does not exist or a policy that cannot be kept, QuotaExceeded when fewer may wait.
    """
    if not requests:
        return []
    requests = placed(owner, requests)
    try:
        return _submit(owner, requests, token_digest, status)
    except IntegrityError:
        if connection.in_atomic_block:
            raise
        # A lane that this process remembers is gone: the database was emptied under us.
        remembered.forget_all()
        return _submit(owner, requests, token_digest, status)


def _submit(owner: User, requests: Sequence[JobRequest], token_digest: str | None, status: str) -> list[Submitted]:
    known = _Known({}, {}, Rates())
    rows = [_row(owner.pk, request, known) for request in requests]
    found = known.lines
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

# The ids of customer, place and lane.
Line = tuple[int, int, int]


def _line(owner_id: int, key: LineKey) -> Line:
    customer_name, cloud, region, queue, vcpus_milli, memory_mib, job_type = key
    place, customer = place_id(cloud, region), ensure_customer(customer_name)
    return customer, place, lane_id(place, customer, owner_id, queue, vcpus_milli, memory_mib, job_type)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the jobs of a submit share, each looked up once: lines, the ids of policies by their digests, rates."""

    lines: dict[LineKey, Line]
    policies: dict[str, int]
    rates: Rates


def _row(owner_id: int, request: JobRequest, known: _Known) -> tuple[Any, ...]:
    """One row in the order of sql.JOB_FIELDS."""
    key, kind, found = line_key(request), request.kind(), known.lines
    if key not in found:
        found[key] = _line(owner_id, key)
    tries = request.max_tries or request.default_tries or settings.DEFAULT_MAX_TRIES
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
        *_walk(request, found[key], known),
    )


def _walk(request: JobRequest, line: Line, known: _Known) -> tuple[Any, ...]:
    """Where it begins by its policy: the last columns of sql.JOB_FIELDS."""
    policy, whole = request.policy, bool(request.machine_image)
    if policy is None:
        return (NO_POLICY[0], request.capacity, *NO_POLICY[2:])
    seconds = None
    if policy.max_cost is not None:
        key = line_key(request)
        where = (request.cloud, request.region, line[0], *key[4:6])
        rate = known.rates.rate(*where, whole=whole, capacity=request.capacity)
        seconds = affordable(policy.max_cost, Decimal(0), rate)
    wait = policy.wait_seconds(0)
    digest = digest_of(policy)
    if digest not in known.policies:
        known.policies[digest] = policy_id(policy)
    return known.policies[digest], request.capacity, seconds, wait and timezone.now() + timedelta(seconds=wait)
