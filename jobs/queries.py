"""Reads of jobs, for views, the admin and the scheduler."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts import access
from accounts.models import Event, Role, User
from clusters.providers.base import STREAMS, LogPage, Provider
from clusters.providers.errors import NotFound as ProviderNotFound
from clusters.queries import local_provider
from controlplane.core.errors import Forbidden
from jobs import gates, sql, states
from jobs.errors import JobNotFound, JobState, OutputGone
from jobs.models import Execution, Gate, Hold, Job, Lane, Place, Scope


def job_by_reference(reference: str) -> Job:
    """The job with this id or uuid. Raises JobNotFound."""
    job = Job.objects.select_related("customer", "owner", "place", "error").filter(**_key(reference)).first()
    if job is None:
        raise JobNotFound
    return job


def find_job(user: User, reference: str, action: str) -> Job:
    """The job with this id or uuid, if `user` may do `action` to it. Raises JobNotFound, Forbidden."""
    job = job_by_reference(reference)
    decision = access.decide(user, "jobs", action, owner_id=job.owner_id, customer_id=job.customer_id)
    if decision.hidden:
        raise JobNotFound
    if not decision.allowed:
        raise Forbidden(decision.why)
    return job


def _key(reference: str) -> dict[str, Any]:
    if reference.isascii() and reference.isdigit() and len(reference) < 19:
        return {"pk": int(reference)}
    try:
        return {"uuid": uuid.UUID(reference)}
    except ValueError:
        raise JobNotFound from None


def find_place(cloud: str, region: str) -> Place | None:
    return Place.objects.filter(cloud=cloud, region=region).first()


def visible_jobs(user: User) -> QuerySet[Job]:
    """The jobs that `user` may read."""
    jobs = Job.objects.all()
    if user.role != Role.CUSTOMER:
        return jobs
    return jobs.filter(customer=user.customer_id) if user.customer_id is not None else jobs.none()


def executions(job: Job) -> QuerySet[Execution]:
    return job.executions.select_related("error", "place").order_by("number")


def timeline(job: Job) -> QuerySet[Event]:
    """What happened to the job, in order."""
    return Event.objects.filter(subject_kind="job", subject_id=job.pk).order_by("id")


def submitted_between(
    user: User,
    customer: str,
    start: datetime,
    end: datetime,
    *,
    classification: str | None = None,
    cloud: str | None = None,
    region: str | None = None,
) -> QuerySet[Job]:
    """A customer's jobs submitted from `start` to `end`, both included, newest first, that `user` may read."""
    jobs = visible_jobs(user).filter(customer__name=customer, submitted_at__gte=start, submitted_at__lte=end)
    if classification is not None:
        jobs = jobs.filter(classification=classification)
    if cloud is not None:
        jobs = jobs.filter(place__cloud=cloud)
    if region is not None:
        jobs = jobs.filter(place__region=region)
    return jobs.select_related("customer", "place", "retry_of").order_by("-submitted_at", "-id")


def _kept_output(job: Job) -> str:
    """The uuid of the execution whose output is the job's: its last one that started."""
    execution = job.executions.filter(started_at__isnull=False).order_by("-number").first()
    if execution is None:
        raise JobState("The job has not started, so it has no output yet.")
    if not execution.logs_kept:
        raise OutputGone
    return str(execution.uuid)


def log_text(job: Job) -> Iterator[str]:
    """The output of the job's last execution: standard output, then standard error, piece by piece.

    Raises JobState when it never started, OutputGone when retention has deleted it.
    """
    execution_id = _kept_output(job)
    provider = local_provider()
    try:
        first = {stream: provider.logs(execution_id, stream) for stream in STREAMS}
    except ProviderNotFound as error:
        raise OutputGone("The provider has no output of this job.") from error
    return _pages(provider, execution_id, first)


def log_tail(job: Job, limit: int) -> str:
    """The last `limit` characters of the job's output. Raises as log_text does."""
    tail: deque[str] = deque()
    size = 0
    for piece in log_text(job):
        tail.append(piece)
        size += len(piece)
        while len(tail) > 1 and size - len(tail[0]) > limit:
            size -= len(tail.popleft())
    return "".join(tail)[-limit:]


def _pages(provider: Provider, execution_id: str, first: dict[str, LogPage]) -> Iterator[str]:
    for stream, page in first.items():
        yield page.text
        after = 0
        while page.next_after > after:
            after = page.next_after
            page = provider.logs(execution_id, stream, after)
            yield page.text


# --- Gates ---------------------------------------------------------------------------------------


def holds_by_scope() -> dict[gates.ScopeKey, list[Hold]]:
    found: dict[gates.ScopeKey, list[Hold]] = {}
    for hold in Hold.objects.order_by("since"):
        found.setdefault((hold.scope, hold.scope_id), []).append(hold)
    return found


def is_held(lane: Lane, holds: dict[gates.ScopeKey, list[Hold]] | None = None) -> bool:
    """Does a hold cover this lane?"""
    holds = holds_by_scope() if holds is None else holds
    return any(scope in holds for scope in gates.scopes(lane))


def lanes_of(scope: str, scope_id: str) -> QuerySet[Lane]:
    """The lanes that a hold or cap of this scope covers."""
    lanes = Lane.objects.all()
    if scope == Scope.ALL:
        return lanes
    if scope == Scope.QUEUE:
        place, _, queue = scope_id.partition(":")
        return lanes.filter(place_id=int(place), queue=queue)
    return lanes.filter(**{f"{scope}_id": int(scope_id)})


def counters(place: Place, lanes: Iterable[sql.LaneFacts]) -> gates.Counters:
    """What a claim at `place` decides by, now."""
    found = gates.Counters(place, timezone.now())
    found.gates = {(gate.scope, gate.scope_id): gate for gate in Gate.objects.all()}
    for lane in lanes:
        if lane.jobs:
            found.count(lane, lane.jobs, lane.vcpus_milli, lane.memory_mib)
    return found


def explain(job: Job) -> list[gates.Reason]:
    """Everything that keeps the job from running now; empty when it runs or has ended."""
    if job.status == states.DELAYED:
        return [
            gates.Reason("RETRY", "Waits before its next try.", since=job.due_at, value=job.tries, limit=job.max_tries)
        ]
    if job.status != states.QUEUED:
        return []
    lanes = sql.lanes(job.place_id, also=job.lane_id)
    lane = lanes[job.lane_id]
    now = counters(job.place, lanes.values())
    now.holds = holds_by_scope()
    assert job.queued_at is not None
    candidate = sql.Candidate(job.pk, lane.id, job.priority, job.queued_at, job.vcpus_milli, job.memory_mib, job.tries)
    found = list(gates.reasons(candidate, lane, now))
    return found or [gates.Reason("NEXT", "Nothing keeps it: the next scheduling pass starts it, or one ahead of it.")]
