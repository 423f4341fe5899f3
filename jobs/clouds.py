"""The resident caller of clouds: one process that submits to them, asks about what runs there, and copies its output.

A thread for each place, so that a cloud that does not answer slows no other, and the machine's own jobs least of
all. Any number of such processes may run: a place is called by one at a time, whoever holds it in the database.
What a caller leaves half done when it dies, the next one finds in the tables.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import lru_cache
from typing import IO, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from clusters.providers.base import Cloud
from clusters.providers.errors import AuthFailed, ProviderError, Throttled
from clusters.queries import cloud_at, cloud_regions
from controlplane.core import instruments, sets
from controlplane.core.bells import answer
from controlplane.core.resident import lock_alone, token_of_this_machine
from controlplane.core.storage import StorageError
from jobs import scheduling, staging, states
from jobs.carrying import carry_here
from jobs.models import Execution, Place, RunsFor
from jobs.scheduling import submitting
from jobs.services import advance_mapreduce, leave_crowded, report_place
from jobs.services.places import place_id

logger = logging.getLogger("jobs.clouds")
HELD_FOR: Final = timedelta(seconds=30)  # as long as a step takes: it is held anew before each
CAPACITY_SECONDS: Final = 60.0
BUSY_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 5.0
CALLS_PER_SECOND: Final = 2.0  # what asking about executions may use of a cloud's patience
PER_CALL: Final = 100
CANCEL_AGAIN_SECONDS: Final = 60.0
SWEEP_SECONDS: Final = 300.0
COPY_SECONDS: Final = 10.0
CARRY_SECONDS: Final = 10.0
CLEAR_SECONDS: Final = 2.0
MAX_BACKOFF_SECONDS: Final = 60.0
MANY_FAULTS: Final = 2  # in a turn, with hardly an answer: then the cloud is out of reach
THROTTLED_TURNS: Final = 3  # one after the other, before jobs are told of it


class Caller:
    """Calls one place. A turn at a time; what it remembers between them is only about when to do what.

    `token` tells callers apart: what one holds, another leaves alone.
    """

    def __init__(self, place: int, cloud: Cloud, token: UUID | None = None) -> None:
        self._place_id = place
        self._cloud = cloud
        self._token = token or uuid4()
        self._watch = scheduling.Watch({})
        self._canceled: dict[str, float] = {}
        self._capacity_at = self._observe_at = self._sweep_at = 0.0
        self._failures = 0
        self._faults: list[ProviderError] = []
        self._answers = 0

    def turn(self) -> float:
        """Do what is due at the place, if it is ours to call; how many seconds to rest."""
        if not self._hold():
            return IDLE_SECONDS
        self._faults, self._answers = [], 0
        active = self._work()
        return self._rest(active)

    def _hold(self) -> bool:
        """Two who call a place at once do no harm, but for asking twice."""
        free = Q(called_until__isnull=True) | Q(called_until__lt=Now()) | Q(caller=self._token)
        rows = Place.objects.filter(free, pk=self._place_id)
        return rows.update(caller=self._token, called_until=Now() + HELD_FOR) > 0

    def take_over(self) -> None:
        """Who had this token before is dead, and has left notes behind."""
        submitting.take_over(self._place_id, self._token, self._cloud)

    def leave(self) -> None:
        """Let another process call the place at once."""
        Place.objects.filter(pk=self._place_id, caller=self._token).update(called_until=None)

    def _work(self) -> bool:
        """Each step by itself, so that what one is not allowed to does not keep the others; is anything there?"""
        if time.monotonic() >= self._capacity_at:
            self._try(self._report)
        self._try(self._stop)
        if time.monotonic() >= self._observe_at:
            self._try(self._observe)
        self._carry()
        advance_mapreduce(self._place_id)
        if not self._is_out_of_reach():
            self._claim()
            self._carry()
            submitting.note(self._place_id, self._cloud)
            for submission in submitting.to_send(self._place_id):
                if self._is_out_of_reach():
                    break
                self._try(lambda one=submission: submitting.send(one, self._cloud, self._token))  # type: ignore[misc]
            self._try(lambda: submitting.check(self._place_id, self._cloud))
        self._try(lambda: scheduling.copy_outputs(self._place_id, self._cloud, COPY_SECONDS))
        self._clear()
        if time.monotonic() >= self._sweep_at:
            self._try(self._sweep)
        rows = Execution.objects.filter(place=self._place_id)
        return rows.filter(Q(status__in=states.EXECUTION_ACTIVE) | Q(copy_at__isnull=False)).exists()

    def _try(self, step: Callable[[], object]) -> None:
        """Take a step, which tells whether the cloud has answered; none while it is out of reach."""
        if self._is_out_of_reach():
            return
        self._hold()
        try:
            self._answers += bool(step())
        except ProviderError as error:
            self._faults.append(error)
        except StorageError as error:
            logger.warning("outputs at %s/%s wait: %s", self._cloud.cloud, self._cloud.region, error)

    def _is_out_of_reach(self) -> bool:
        """Would further calls run into the same, and wait for it? One that fails now and then is not out of reach."""
        plain = sum(type(fault) is ProviderError for fault in self._faults)
        return self._is_throttled() or (plain >= MANY_FAULTS and plain * 2 > self._answers)

    def _is_throttled(self) -> bool:
        return any(isinstance(fault, Throttled) for fault in self._faults)

    def _claim(self) -> None:
        scheduling.wake_delayed()
        leave_crowded()
        while scheduling.claim(self._place_id) == scheduling.CLAIM_AT_MOST:
            pass

    def _carry(self) -> None:
        """Write what tasks of MapReduce jobs are given, and note what they have left. It asks the cloud nothing."""
        self._hold()
        carry_here(self._place_id, CARRY_SECONDS)

    def _clear(self) -> None:
        self._hold()
        try:
            staging.clear_cloud_leftovers(self._place_id, CLEAR_SECONDS)
        except StorageError as error:
            logger.warning("leftovers of jobs at %s/%s wait: %s", self._cloud.cloud, self._cloud.region, error)

    def _report(self) -> bool:
        with instruments.provider_call(self._cloud.cloud, "capacity"):
            capacity = self._cloud.capacity()
        report_place(
            self._place_id,
            vcpus_milli=capacity.vcpus_milli,
            memory_mib=capacity.memory_mib,
            disk_free_mib=capacity.disk_free_mib,
            runs_for=RunsFor.EVERYONE,
        )
        self._capacity_at = time.monotonic() + CAPACITY_SECONDS
        return True

    def _stop(self) -> bool:
        """Stop what is to be stopped, and what has waited there too long to start.

        A cloud that has not done it by then is asked again.
        """
        submitting.conclude_unsent(self._place_id)
        rows = Execution.objects.filter(place=self._place_id, status__in=states.EXECUTION_AT_PROVIDER)
        late = Q(status=states.SUBMITTED, job__status=states.STARTING, job__leaves_at__lte=timezone.now())
        wanted = rows.filter(Q(job__status=states.CANCELING) | late).exclude(handle="")
        handles = wanted.values_list("handle", flat=True)
        now = time.monotonic()
        told = {handle: self._canceled.get(handle, -CANCEL_AGAIN_SECONDS) for handle in handles}
        due = [handle for handle, at in told.items() if now - at >= CANCEL_AGAIN_SECONDS]
        self._canceled = told
        if due:
            with instruments.provider_call(self._cloud.cloud, "cancel"):
                self._cloud.cancel(due)
            self._canceled |= dict.fromkeys(due, now)
            self._observe_at = 0.0
        return bool(due)

    def _observe(self) -> bool:
        count = scheduling.observe_cloud(self._place_id, self._cloud, self._watch)
        calls = -(-count // PER_CALL)
        self._observe_at = time.monotonic() + max(BUSY_SECONDS, calls / CALLS_PER_SECOND)
        return count > 0

    def _sweep(self) -> None:
        """Terminate machines whose execution has ended. Those of executions that we never had are somebody else's."""
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        with instruments.provider_call(self._cloud.cloud, "tidy"):
            self._cloud.tidy()
        with instruments.provider_call(self._cloud.cloud, "machines"):
            machines = self._cloud.machines()
        if not machines:
            return
        chosen = sets.among("uuid", [UUID(uuid) for uuid in machines.values()], Execution)
        over = Execution.objects.filter(chosen, status__in=states.EXECUTION_FINAL).values_list("uuid", flat=True)
        ended = {str(uuid) for uuid in over}
        strays = [handle for handle, uuid in machines.items() if uuid in ended]
        if strays:
            logger.warning("%d machines are left of executions that have ended; terminating them", len(strays))
            self._cloud.cancel(strays)

    def _rest(self, active: bool) -> float:
        """Write down whether the cloud answers; how long to rest."""
        fault = self._what_fails()
        place = Place.objects.filter(pk=self._place_id)
        place.update(seen_at=timezone.now())
        for each in self._faults:
            logger.warning("a call of %s/%s failed: %s", self._cloud.cloud, self._cloud.region, each)
        if fault is None:
            self._failures = 0
            place.exclude(failure="").update(failure="", failing_since=None)
            return BUSY_SECONDS if active else IDLE_SECONDS
        self._failures += 1
        if not isinstance(fault, Throttled) or self._failures > THROTTLED_TURNS:
            place.filter(failure="").update(failing_since=timezone.now())
            place.update(failure=str(fault)[:500] or type(fault).__name__)
        if isinstance(fault, Throttled):
            return min(MAX_BACKOFF_SECONDS, max(BUSY_SECONDS, fault.retry_after_seconds))
        if isinstance(fault, AuthFailed):
            return MAX_BACKOFF_SECONDS / 2
        return min(MAX_BACKOFF_SECONDS, BUSY_SECONDS * 2.0 ** min(self._failures, 10))

    def _what_fails(self) -> ProviderError | None:
        """What keeps the place from working: a permission that is missing, or a cloud that is out of reach.

        A turn with one call, which failed, is no answer either.
        """
        denied = next((each for each in self._faults if isinstance(each, AuthFailed) and not each.customer), None)
        silent = not self._answers and any(type(fault) is ProviderError for fault in self._faults)
        return denied or (self._faults[-1] if silent or self._is_out_of_reach() else None)


class CallerThread:
    """A caller's thread: a turn whenever it is woken or has rested."""

    def __init__(self, place: int, cloud: Cloud) -> None:
        self._caller = Caller(place, cloud, token_of_this_machine("clouds"))
        self._takes_over = _is_alone()
        self._woken = threading.Event()
        self._may_wake_at = 0.0
        # A daemon: a process that is told to stop waits for no cloud, what is half done is found by the next.
        threading.Thread(target=self._run, name=f"caller {cloud.cloud}/{cloud.region}", daemon=True).start()

    def wake(self) -> None:
        """There is something new. One that rests because its cloud fails rests on."""
        if time.monotonic() >= self._may_wake_at:
            self._woken.set()

    def _run(self) -> None:
        while True:
            rest = self._turn()
            self._may_wake_at = time.monotonic() + (rest if rest > IDLE_SECONDS else 0.0)
            self._woken.wait(rest)
            self._woken.clear()

    def _turn(self) -> float:
        close_old_connections()
        try:
            if self._takes_over:
                self._caller.take_over()
                self._takes_over = False
            return self._caller.turn()
        except DatabaseError:
            logger.exception("the database failed")
        except Exception:
            logger.exception("a turn failed")
        connection.close()
        return IDLE_SECONDS


_locks: list[IO[str]] = []  # open for as long as the process lives


def _is_alone() -> bool:
    """Is every process of this machine dead that called clouds before?"""
    lock = None if _locks else lock_alone("clouds")
    if lock is not None:
        _locks.append(lock)
    return bool(_locks)


@lru_cache(maxsize=1)
def callers() -> tuple[CallerThread, ...]:
    """This process's own: they outlive the term of a pass."""
    return tuple(CallerThread(place_id(cloud, region), cloud_at(cloud, region)) for cloud, region in cloud_regions())


def run(stopping: Callable[[], bool], beat: Callable[[], None], threads: Iterable[CallerThread]) -> None:
    """Keep the callers awake for a term; then ring, so that another pass follows."""
    answer(settings.CLOUDS, stopping, beat, threads)
