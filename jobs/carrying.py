"""Carries what staged jobs take in and give, on the machine that runs them, beside the scheduling pass.

Threads of the pass's process, so that a transfer may take as long as it takes. Each works under a lease on its
execution, in the database: should the process die, whoever looks next after the lease takes over. The next process
of this machine need not wait for that: a lock on a file tells it that the one before is dead.

For a cloud's region, tasks of MapReduce jobs are carried by its caller, in its own thread: see `carry_here`.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import queue
import threading
import time
from datetime import timedelta
from functools import lru_cache
from typing import Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Q
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from accounts import events
from controlplane.core import sets
from controlplane.core.resident import lock_alone
from controlplane.core.storage import StorageUnavailable
from jobs import staging, states
from jobs.models import STAGED, Execution, File, Job
from jobs.scheduling import conclude
from jobs.services.mapreduce_steps import run_maps_again

logger = logging.getLogger("jobs.carrying")
CARRIERS: Final = 4
AT_ONCE: Final = 4
LEASE: Final = timedelta(seconds=30)
RENEW_AFTER_SECONDS: Final = 5.0
CLEAR_EVERY_SECONDS: Final = 60.0
REST_SECONDS: Final = 5.0


class Carried(enum.Flag):
    """What has come of carrying: the scheduler has something to do."""

    NOTHING = 0
    BROUGHT = enum.auto()  # an execution can be handed over
    ENDED = enum.auto()  # an execution has ended, well or badly


class LeaseLost(Exception):
    """Somebody else carries for this execution now, or nobody has to any more."""


class Lease:
    """The right to carry for one execution while its status stays what it is; `keep` makes it last."""

    def __init__(self, execution_id: int, status: str) -> None:
        self._execution_id = execution_id
        self._status = status
        self._renew_at = time.monotonic() + RENEW_AFTER_SECONDS
        self._end_at = time.monotonic() + settings.STAGING_TIMEOUT_SECONDS

    def keep(self) -> None:
        """Say that it goes on. Raises LeaseLost, and StagingFault when it has taken too long."""
        now = time.monotonic()
        if now > self._end_at:
            name = "pre-timeout" if self._status == states.CREATED else "post-timeout"
            raise staging.StagingFault(name, "It took longer than STAGING_TIMEOUT_SECONDS.")
        if now < self._renew_at:
            return
        self._renew_at = now + RENEW_AFTER_SECONDS
        rows = Execution.objects.filter(pk=self._execution_id, status=self._status)
        if not rows.update(leased_until=timezone.now() + LEASE):
            raise LeaseLost


def to_carry(place_id: int, limit: int) -> list[Execution]:
    """Take the lease on up to `limit` executions of the place that have something to be carried."""
    now = timezone.now()
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    bring = Q(status=states.CREATED, prepared_at__isnull=True, job__status=states.STARTING)
    rows = Execution.objects.filter(bring | Q(status=states.FINISHING), free, place=place_id, job__shape__in=STAGED)
    found = list(rows.select_related("job__job_type", "place").order_by("id")[:limit])
    return [
        execution
        for execution in found
        if Execution.objects.filter(free, pk=execution.pk, status=execution.status).update(leased_until=now + LEASE)
    ]


def carry(execution: Execution) -> Carried:
    """Do what there is to carry for an execution whose lease is ours, and note it."""
    lease = Lease(execution.pk, execution.status)
    work = _bring if execution.status == states.CREATED else _keep
    try:
        return work(execution, lease)
    except staging.StagingFault as fault:
        return _give_up(execution, fault)
    except StorageUnavailable as error:  # the lease runs out, and it is tried again
        logger.warning("execution %s waits for storage: %s", execution.uuid, error.message)
        return Carried.NOTHING
    except LeaseLost:
        logger.info("execution %s is not ours to carry for any more", execution.uuid)
        return Carried.NOTHING


def _bring(execution: Execution, lease: Lease) -> Carried:
    staging.bring(execution, lease.keep)
    rows = Execution.objects.filter(pk=execution.pk, status=states.CREATED)
    rows.update(prepared_at=timezone.now(), leased_until=None)
    return Carried.BROUGHT


def _keep(execution: Execution, lease: Lease) -> Carried:
    kept = staging.keep(execution, lease.keep)
    detail = "; ".join(kept.warnings)
    with transaction.atomic():
        # Before files are made, and the job first, as everybody locks: the loser of a lease finds the execution
        # ended and adds none.
        list(Job.objects.select_for_update().filter(pk=execution.job_id).values_list("pk"))
        if not Execution.objects.filter(pk=execution.pk, status=states.FINISHING).exists():
            raise LeaseLost
        made = File.objects.bulk_create(kept.files)
        files: dict[str, list[int]] = {}
        for file in made:
            files.setdefault(file.job_output, []).append(file.pk)
        for file_id, metadata in kept.input_metadata.items():
            _describe(file_id, metadata)
        customer = execution.job.customer_id
        events.record([("file.created", "file", file.pk, None, customer, None, {"name": file.name}) for file in made])
        output = {"files": files, "json": dict(kept.json)} if kept.facts is None else kept.facts
        conclude(execution.uuid, detail=detail, output=output)
    _leave(execution)
    return Carried.ENDED


def _leave(execution: Execution) -> None:
    if not execution.place.is_cloud:
        staging.room_of(execution.uuid).clear()


def _describe(file_id: int, metadata: object) -> None:
    """What a job has found out about its input."""
    if isinstance(metadata, dict):
        columns = staging.described(metadata)
        File.objects.filter(pk=file_id).update(**columns, modified_at=timezone.now())


def _give_up(execution: Execution, fault: staging.StagingFault) -> Carried:
    with transaction.atomic():
        if fault.lost_maps:
            run_maps_again(execution.job, fault.lost_maps)
        conclude(execution.uuid, error_name=fault.error_name, detail=fault.detail)
    _leave(execution)
    return Carried.ENDED


def forget_leases(place_id: int) -> None:
    """Free what is leased at a place. Caller knows that nobody there carries any more."""
    rows = Execution.objects.filter(place=place_id, status__in=(states.CREATED, states.FINISHING))
    rows.filter(leased_until__isnull=False).update(leased_until=None)


class Carriers:
    """The threads of one process. `look` gives them work, and never waits; `read` tells what has come of it."""

    def __init__(self, place_id: int, count: int = CARRIERS) -> None:
        self._place_id = place_id
        self._count = count
        self._queue: queue.SimpleQueue[Execution] = queue.SimpleQueue()
        self._busy = 0
        self._carried = Carried.NOTHING
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._clear_at = time.monotonic()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._alone = lock_alone("carrying")
        if self._alone is not None:
            forget_leases(place_id)

    def fileno(self) -> int:
        """A file descriptor that is readable while there is something to `read`."""
        return self._wake

    def read(self) -> Carried:
        """What has come of carrying since the last call. Nothing is lost by dying before it: the rows tell the same."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with self._lock:
            carried, self._carried = self._carried, Carried.NOTHING
        return carried

    def look(self) -> None:
        """Take up what is to be carried, as far as there are hands for it; now and then remove old rooms."""
        with self._lock:
            hands = self._count - self._busy
        if hands > 0:
            for execution in to_carry(self._place_id, hands):
                self._start(execution)
        if time.monotonic() >= self._clear_at:
            self._clear_at = time.monotonic() + CLEAR_EVERY_SECONDS
            clear_rooms()

    def _start(self, execution: Execution) -> None:
        with self._lock:
            self._busy += 1
            if len(self._threads) < self._busy:
                # A daemon: a process that is told to stop does not wait for a transfer, its successor takes over.
                thread = threading.Thread(target=self._work, name="carrier", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(execution)

    def _work(self) -> None:
        while True:
            execution = self._next()
            close_old_connections()  # one that has broken meanwhile
            with bound_contextvars(execution_id=str(execution.uuid), job_id=execution.job_id):
                self._tell(_carry_whatever_happens(execution))

    def _tell(self, carried: Carried) -> None:
        with self._lock:
            self._busy -= 1
            self._carried |= carried
        os.eventfd_write(self._wake, 1)

    def _next(self) -> Execution:
        """What is to be carried next. Whoever rests holds no connection; making one takes longer than most of this."""
        try:
            return self._queue.get(timeout=REST_SECONDS)
        except queue.Empty:
            connection.close()
            return self._queue.get()


def _carry_whatever_happens(execution: Execution) -> Carried:
    try:
        return carry(execution)
    except DatabaseError:
        logger.exception("the database failed; the lease will run out")
    except Exception:
        logger.exception("carrying failed")
        with contextlib.suppress(DatabaseError):
            return _give_up(execution, staging.StagingFault("unknown", "See the log of the worker."))
    return Carried.NOTHING


def carry_here(place_id: int, seconds: float) -> None:
    """Carry for executions of a cloud's region, where next to nothing has to be moved, for about so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and (found := to_carry(place_id, AT_ONCE)):
        for execution in found:
            with bound_contextvars(execution_id=str(execution.uuid), job_id=execution.job_id):
                _carry_whatever_happens(execution)


@lru_cache(maxsize=1)
def carriers_of(place_id: int) -> Carriers:
    """This process's own: they outlive the term of a pass."""
    return Carriers(place_id)


def clear_rooms() -> None:
    """Remove the rooms of executions that have ended or that nobody knows, and what MapReduce jobs have left."""
    staging.clear_leftovers()
    there = dict(staging.rooms())
    if not there:
        return
    rows = Execution.objects.filter(sets.among("uuid", list(there), Execution), status__in=states.EXECUTION_ACTIVE)
    for uuid in there.keys() - set(rows.values_list("uuid", flat=True)):
        there[uuid].clear()
