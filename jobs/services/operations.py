"""Bulk work: started in a request, carried out in the background a batch at a time, stopped when asked.

Whoever carries an operation out holds its lease, writes every batch together with how far it came, and
passes it on after a slice of time; a lease that ran out is taken up by the sweep. So a crash repeats
nothing and loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, OperationalError, transaction
from django.db.models import Max, Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from controlplane.core.transitions import compare_and_set
from jobs import queries, states
from jobs.errors import EmptySelection, OperationState
from jobs.filters import JobFilter, listed
from jobs.models import Job, Kind, Operation, OperationFailure, Shape
from jobs.services.cancel import cancel_jobs, requeue_jobs
from jobs.services.holds import hold_jobs, release_jobs
from jobs.services.steer import set_priority

logger = logging.getLogger("jobs.operations")
TASK: Final = "jobs.tasks.carry_on"
BATCH: Final = 500
SLICE_SECONDS: Final = 10.0
LEASE: Final = timedelta(seconds=45)
WAITS_AT_MOST: Final = timedelta(seconds=15)
FAILURES_KEPT: Final = 10_000

Act = Callable[[Sequence[int], User, Mapping[str, Any]], Sequence[int]]
_ACTS: Final[dict[str, Act]] = {
    Kind.CANCEL: lambda ids, user, _: list(cancel_jobs(ids, actor=user)),
    Kind.REQUEUE: lambda ids, user, more: requeue_jobs(ids, actor=user, priority=more.get("priority")),
    Kind.PRIORITY: lambda ids, user, more: set_priority(ids, actor=user, priority=more["priority"]),
    Kind.HOLD: lambda ids, user, more: hold_jobs(ids, actor=user, hint=more.get("hint", "")),
    Kind.RELEASE: lambda ids, user, _: release_jobs(ids, actor=user),
}
# The jobs that a kind is about. One that was asked for by its id and is not among them is a failure with a reason.
_ABOUT: Final[dict[str, Q]] = {
    Kind.CANCEL: ~Q(status__in=(*states.FINAL, states.CANCELING)),
    Kind.REQUEUE: Q(status__in=(states.FAILED, states.CANCELED)),
    Kind.PRIORITY: Q(status__in=states.WAITING),
    Kind.HOLD: Q(status__in=states.WAITING, lane__on_hold=False) & ~Q(shape=Shape.MAPREDUCE),
    Kind.RELEASE: Q(lane__on_hold=True),
}


def select_jobs(user: User, selection: Mapping[str, Sequence[str]]) -> QuerySet[Job]:
    """The jobs that match `selection` (filters of the list, each with its values) and that `user` may change."""
    found: QuerySet[Job] = _filter(user, selection).qs
    return found


def _filter(user: User, selection: Mapping[str, Sequence[str]]) -> JobFilter:
    data = QueryDict(mutable=True)
    for name, values in selection.items():
        data.setlist(name, [str(value) for value in values])
    found = JobFilter(data, queryset=listed(queries.changeable_jobs(user), data))
    if not found.is_valid():
        name, messages = next(iter(found.faults().items()))
        raise InvalidRequest(messages[0], field=name)
    return found


def start_operation(
    *, kind: str, selection: Mapping[str, Sequence[str]], parameters: Mapping[str, Any], actor: User
) -> Operation:
    """Start to do `kind` to every job that matches `selection` now and that `actor` may change.

    Raises EmptySelection, or InvalidRequest naming the filter that cannot be read.
    """
    chosen = _filter(actor, selection).chosen()
    if not chosen:
        raise EmptySelection
    if kind == Kind.PRIORITY and "priority" not in parameters:
        raise InvalidRequest("This field is required.", field="priority")
    with transaction.atomic():
        operation = Operation.objects.create(
            kind=kind,
            selection=chosen,
            parameters=dict(parameters),
            created_by=actor,
            up_to=Job.objects.aggregate(last=Max("id"))["last"] or 0,
        )
        after = {"kind": kind, "selection": chosen, "parameters": dict(parameters)}
        tell("operation.started", operation.pk, actor, after)
        enqueue(TASK, operation_id=operation.pk)
    return operation


def stop_operation(operation: Operation, *, actor: User | None) -> Operation:
    """Ask for the operation to stop; what it has done stays done. Raises OperationState when it has ended."""
    with transaction.atomic():
        now = timezone.now()
        moved = _move(operation, states.STOPPED, ended_at=now) if operation.status == states.OPERATION_WAITING else {}
        moved = moved or _move(operation, states.STOPPING)
        operation.refresh_from_db()
        if not moved and operation.status != states.STOPPING:
            raise OperationState(f"The operation is {operation.status} already.")
        if moved:
            tell("operation.stopped", operation.pk, actor, {"done": operation.done})
    return operation


def carry_on(operation_id: int) -> None:
    """Work on an operation for a slice of time; then pass it on, unless it has ended."""
    try:
        _slice(operation_id)
    except InvalidRequest as error:
        # It was readable when it began: what it names is gone since, or we have learned to be stricter.
        with transaction.atomic():
            _end(Operation.objects.get(pk=operation_id), states.FAILED, error.message)


def _slice(operation_id: int) -> None:
    operation = _take(operation_id)
    if operation is None:
        return
    end = time.monotonic() + SLICE_SECONDS
    while _batch(operation_id):
        if time.monotonic() >= end:
            with transaction.atomic():
                Operation.objects.filter(pk=operation_id).update(lease_until=None)
                enqueue(TASK, operation_id=operation_id)
            return


def carry_on_forgotten() -> int:
    """Start anew what nobody works on: its lease ran out, or its first task was lost. Returns how many."""
    now = timezone.now()
    late = Q(lease_until__lt=now) | Q(lease_until__isnull=True, created_at__lt=now - WAITS_AT_MOST)
    ids = list(Operation.objects.exclude(status__in=states.OPERATION_FINAL).filter(late).values_list("pk", flat=True))
    with transaction.atomic():
        for operation_id in ids:
            enqueue(TASK, operation_id=operation_id)
    return len(ids)


# --- One slice -----------------------------------------------------------------------------------


def _take(operation_id: int) -> Operation | None:
    """Take the lease of an operation, and count its jobs if nobody has yet. None: another has it, or it has ended."""
    with transaction.atomic():
        now = timezone.now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        rows = Operation.objects.select_for_update(of=("self",)).select_related("created_by")
        operation = rows.filter(free, pk=operation_id).exclude(status__in=states.OPERATION_FINAL).first()
        if operation is None:
            return None
        Operation.objects.filter(pk=operation_id).update(lease_until=now + LEASE)
        _move(operation, states.RUNNING, started_at=now)
    if operation.total is None:
        Operation.objects.filter(pk=operation_id).update(total=_rows(operation).count())
    return operation


def _rows(operation: Operation) -> QuerySet[Job]:
    """The jobs it has not dealt with yet."""
    rows = select_jobs(operation.created_by, operation.selection)
    if "job_id" not in operation.selection:
        rows = rows.filter(_ABOUT[operation.kind])
    return rows.filter(pk__gt=operation.position, pk__lte=operation.up_to)


def _batch(operation_id: int) -> bool:
    """Deal with the next batch, in one transaction with the note of it. False when the operation has ended."""
    with transaction.atomic():
        rows = Operation.objects.select_for_update(of=("self",)).select_related("created_by")
        operation = rows.get(pk=operation_id)
        if operation.status == states.STOPPING:
            return not _end(operation, states.STOPPED)
        if operation.status != states.RUNNING:
            return False
        if not operation.created_by.is_active:
            return not _end(operation, states.FAILED)
        ids = list(_rows(operation).order_by("pk").values_list("pk", flat=True)[:BATCH])
        changed = _deal(operation, ids)
        failed = [i for i in ids if i not in changed]
        _note_failures(operation, failed)
        Operation.objects.filter(pk=operation_id).update(
            done=operation.done + len(changed),
            failed=operation.failed + len(failed),
            position=ids[-1] if ids else operation.up_to,
            lease_until=timezone.now() + LEASE,
        )
        return not (len(ids) < BATCH and _end(operation, states.COMPLETED))


def _deal(operation: Operation, ids: Sequence[int]) -> set[int]:
    """Do it to these jobs; the ids that changed. A set that the database refuses goes one by one."""
    if not ids:
        return set()
    try:
        with transaction.atomic():
            return set(_ACTS[operation.kind](ids, operation.created_by, operation.parameters))
    except OperationalError:
        raise
    except DatabaseError:
        logger.exception("operation %d: a set of %d jobs was refused", operation.pk, len(ids))
    return set() if len(ids) == 1 else {i for each in ids for i in _deal(operation, [each])}


def _note_failures(operation: Operation, ids: Sequence[int]) -> None:
    room = max(0, FAILURES_KEPT - operation.failed)
    rows = Job.objects.filter(sets.among("id", list(ids[:room]), Job)).values_list("pk", "status", "lane__on_hold")
    sets.insert(
        OperationFailure,
        ("operation", "job", "code", "message"),
        [
            (operation.pk, job_id, "JOB_STATE", f"The job is {states.SHOWN[status]}{' and held' if on_hold else ''}.")
            for job_id, status, on_hold in rows
        ],
    )


def _end(operation: Operation, to: str, why: str = "") -> bool:
    ended = bool(_move(operation, to, ended_at=timezone.now()))
    if ended:
        tell("operation.ended", operation.pk, None, {"status": to, **({"why": why} if why else {})})
    return ended


def _move(operation: Operation, to: str, **values: Any) -> dict[int, Any]:
    return compare_and_set(Operation, states.OPERATION, to, {operation.pk: values}, tuple(values))
