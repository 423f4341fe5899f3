"""The scheduler: claim, call, apply, observe, finish. Truth is in the tables; any number may run at once.

No provider is called inside a transaction, and every answer is applied under the execution's own uuid,
by compare and set: what a crash leaves between two steps is found by that uuid and taken up again.
The cost of a pass depends on what it claims and on what is active, never on the queue or on history.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from clusters.providers.base import End, Observation, Phase, Provider, Work
from clusters.providers.errors import Refused
from controlplane.core import instruments, sets
from controlplane.core.encryption import SecretUnreadable, decrypt
from controlplane.core.ids import uuid7
from jobs import gates, queries, sql, states
from jobs.models import Execution, Gate, Job, Lane, Place
from jobs.services.cancel import CANCELED_BY_USER
from jobs.services.move import move, move_executions
from jobtypes.models import Error

logger = logging.getLogger("jobs.scheduling")
CLAIM_AT_MOST: Final = 256
Lanes = dict[int, sql.LaneFacts]
DELAYED_AT_ONCE: Final = 1000
MAX_BACKOFF_SECONDS: Final = 300


# --- Claim ---------------------------------------------------------------------------------------


def claim(place_id: int, *, just_ended: int = 0, limit: int = CLAIM_AT_MOST) -> int | None:
    """Take queued jobs of a place, in order, past all that is held, capped or too large now.

    They become STARTING, each with a new execution CREATED. One transaction; None when another
    scheduler is claiming here. `just_ended`: how many short executions the place finished lately; so
    many more than fit may be handed to it, to wait in line there.
    """
    with transaction.atomic():
        place = Place.objects.select_for_update(skip_locked=True).filter(pk=place_id).first()
        if place is None:
            return None
        lanes = sql.lanes(place_id)
        counters = queries.counters(place, lanes.values())
        open_lanes = [lane for lane in lanes.values() if lane.claimable and not _closed(lane, counters)]
        if not open_lanes:
            return 0
        if _lock_gates(open_lanes, counters):
            counters = queries.counters(place, sql.lanes(place_id).values())
        # A lane made while its hold was placed may not be marked yet: the holds themselves decide.
        counters.holds = queries.holds_by_scope()
        counters.ahead = just_ended / max(1, counters.here().jobs)
        walk = Walk(lanes, counters)
        walk.admit_from(open_lanes, limit)
        walk.leave_paused()
        walk.note_blocked()
        return _start_or_fail(place_id, walk.admitted)


def _closed(lane: sql.LaneFacts, counters: gates.Counters) -> bool:
    """Is a cap over the lane used up, whatever the job? A look without a lock, to leave out what cannot go."""
    if gates.of_type(lane, counters) is not None:
        return True
    for scope in gates.scopes(lane):
        gate = counters.gates.get(scope)
        if gate and gate.max_jobs is not None and counters.used.get(scope, gates.Used()).jobs >= gate.max_jobs:
            return True
    return False


def _lock_gates(open_lanes: Sequence[sql.LaneFacts], counters: gates.Counters) -> bool:
    """Lock the caps over these lanes, in one order everywhere. True if there are any: then count again."""
    touched = {scope for lane in open_lanes for scope in gates.scopes(lane)}
    ids = [gate.id for scope, gate in counters.gates.items() if scope in touched]
    locked = bool(ids) and bool(list(Gate.objects.select_for_update().filter(pk__in=ids).order_by("pk")))
    types = {lane.job_type.id for lane in open_lanes if lane.job_type and lane.job_type.max_scheduled is not None}
    return bool(sql.lock_job_types(list(types))) or locked


def _each(limit: int, lanes: int) -> int:
    """How many heads to read of each lane: all of `limit` from few lanes, some from many."""
    return limit if lanes <= 16 else max(4, 16 * limit // lanes)


class Walk:
    """One walk along the heads of lanes: who may start, and which lanes cannot go on now."""

    def __init__(self, lanes: Lanes, counters: gates.Counters) -> None:
        self.admitted: list[sql.Candidate] = []
        self.refused: dict[int, gates.Reason] = {}
        self._lanes = lanes
        self._counters = counters

    def admit_from(self, open_lanes: Sequence[sql.LaneFacts], limit: int) -> None:
        """Admit up to `limit` candidates, in their order.

        The heads of lanes that cannot go on take places of those behind them: so look again past the
        refused lanes, until a look refuses none.
        """
        taken: set[int] = set()
        while len(self.admitted) < limit:
            ids = [lane.id for lane in open_lanes if lane.id not in self.refused]
            refused = len(self.refused)
            for candidate in sql.heads(ids, _each(limit, len(ids)), limit):
                if candidate.job_id not in taken and len(self.admitted) < limit:
                    taken.add(candidate.job_id)
                    self._try(candidate)
            if len(self.refused) == refused:
                return

    def _try(self, candidate: sql.Candidate) -> None:
        lane, counters = self._lanes[candidate.lane_id], self._counters
        if lane.id in self.refused:
            return  # every gate treats the jobs of a lane alike
        reason = gates.admit(candidate, lane, counters)
        if reason is None:
            counters.count(lane, 1, candidate.vcpus_milli, candidate.memory_mib)
            self.admitted.append(candidate)
            return
        self.refused[lane.id] = reason
        counters.reserve(candidate, lane, reason)

    def leave_paused(self) -> None:
        """Leave out what is of a job type that was paused since we looked: once that is answered, none may start."""
        lanes = self._lanes
        types = {candidate.lane_id: lanes[candidate.lane_id].job_type for candidate in self.admitted}
        ids = list({job_type.id for job_type in types.values() if job_type})
        paused = {i for i, is_paused in sql.lock_job_types(ids, shared=True).items() if is_paused}
        if paused:
            left = {lane_id for lane_id, job_type in types.items() if job_type and job_type.id in paused}
            self.admitted = [candidate for candidate in self.admitted if candidate.lane_id not in left]

    def note_blocked(self) -> None:
        """Keep since when the head of each lane has not fitted; a lane of which one started starts afresh."""
        moving = {candidate.lane_id for candidate in self.admitted}
        freed = [i for i in moving if self._lanes[i].blocked_since is not None]
        stuck = [
            i
            for i, reason in self.refused.items()
            if reason.place_full and self._lanes[i].blocked_since is None and i not in moving
        ]
        if freed:
            Lane.objects.filter(pk__in=freed).update(blocked_since=None)
        if stuck:
            Lane.objects.filter(pk__in=stuck).update(blocked_since=self._counters.now)


def _start_or_fail(place_id: int, admitted: Sequence[sql.Candidate]) -> int:
    """Start a set; one that the database refuses goes one by one, and the one it refuses then fails alone."""
    try:
        with transaction.atomic():
            return _start(place_id, admitted)
    except OperationalError:
        raise
    except DatabaseError:
        only = {"job_id": admitted[0].job_id} if len(admitted) == 1 else {}
        logger.exception("a claim of %d jobs was refused", len(admitted), extra=only)
    if len(admitted) > 1:
        return sum(_start_or_fail(place_id, [candidate]) for candidate in admitted)
    error = Error.objects.get(name="database", is_builtin=True)
    values = {"ended_at": timezone.now(), "reason": "DATABASE", "error": error.pk}
    move({admitted[0].job_id: values}, states.FAILED, fields=tuple(values))
    return 0


def _start(place_id: int, admitted: Sequence[sql.Candidate]) -> int:
    if not admitted:
        return 0
    tries = {candidate.job_id: candidate.tries + 1 for candidate in admitted}
    moved = move({i: {"tries": n, "reason": ""} for i, n in tries.items()}, states.STARTING, fields=("tries", "reason"))
    now = timezone.now()
    sets.insert(
        Execution,
        ("uuid", "job", "number", "place", "status", "node", "detail", "created_at", "logs_kept"),
        [(uuid7(), i, tries[i], place_id, states.CREATED, "", "", now, True) for i in moved],
    )
    return len(moved)


# --- Call ----------------------------------------------------------------------------------------


def hand_over(place_id: int, provider: Provider, again: Sequence[str] = ()) -> int:
    """Give the provider every execution that it has not been given, or has forgotten (`again`: their uuids).

    A crash after the call and before the note of it only means that the call is made once more: the
    provider starts nothing twice.
    """
    rows = Execution.objects.filter(place=place_id, job__status__in=(states.STARTING, states.RUNNING))
    fresh = rows.filter(status=states.CREATED)
    forgotten = [UUID(execution_id) for execution_id in again]
    wanted = fresh if not forgotten else rows.filter(sets.among("uuid", forgotten, Execution)).union(fresh)
    fields = ("id", "uuid", "job_id", "status", "job__image", "job__command", "job__env", "job__vcpus_milli")
    executions = list(wanted.values_list(*fields, "job__memory_mib", "job__timeout_seconds", "job__priority"))
    works, refused = _works(executions)
    refused |= _run(provider, works) if works else {}
    fresh_ids = [row[0] for row in executions if row[3] == states.CREATED and str(row[1]) not in refused]
    if fresh_ids or refused:
        with transaction.atomic():
            _reject({row[0]: (row[2], refused[str(row[1])]) for row in executions if str(row[1]) in refused})
            move_executions({i: {} for i in fresh_ids}, states.SUBMITTED)
    return len(executions) - len(refused)


def _works(executions: Sequence[tuple[Any, ...]]) -> tuple[list[Work], dict[str, str]]:
    """The works of executions, and those whose environment no present key can read: they can never run."""
    works: list[Work] = []
    unreadable: dict[str, str] = {}
    for row in executions:
        try:
            works.append(_work(str(row[1]), *row[4:]))
        except SecretUnreadable as error:
            unreadable[str(row[1])] = error.message
    return works, unreadable


def _work(
    execution_id: str,
    image: str,
    command: list[str],
    env: str,
    vcpus_milli: int,
    memory_mib: int,
    timeout_seconds: int | None,
    priority: int,
) -> Work:
    return Work(
        execution_id=execution_id,
        image=image,
        command=command,
        env=decrypt(env),
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        timeout_seconds=timeout_seconds,
        priority=priority,
    )


def _run(provider: Provider, works: Sequence[Work]) -> dict[str, str]:
    """Hand `works` over; returns those that the provider refuses for good, and its words."""
    try:
        with instruments.provider_call(provider.cloud, "run"):
            provider.run(works)
    except Refused as error:
        if len(works) == 1:
            return {works[0].execution_id: str(error)}
        refused: dict[str, str] = {}
        for work in works:
            refused |= _run(provider, [work])
        return refused
    return {}


def _reject(refused: dict[int, tuple[int, str]]) -> None:
    """The provider will never run these: end them. Caller holds the transaction."""
    if not refused:
        return
    now, error = timezone.now(), Error.objects.get(name="refused", is_builtin=True)
    jobs = {job_id: {"ended_at": now, "reason": "REFUSED", "error": error.pk} for job_id, _ in refused.values()}
    executions = {
        i: {"ended_at": now, "detail": _text(words, 1000), "error": error.pk} for i, (_, words) in refused.items()
    }
    # The job first: the one order in which everybody locks.
    move(jobs, states.REJECTED, fields=("ended_at", "reason", "error"))
    move_executions(executions, states.FAILED, fields=("ended_at", "detail", "error"))


def pass_on_cancels(place_id: int, provider: Provider) -> int:
    """Tell the provider of every active execution whose job is to be stopped."""
    rows = Execution.objects.filter(place=place_id, status__in=states.EXECUTION_ACTIVE, job__status=states.CANCELING)
    ids = [str(uuid) for uuid in rows.values_list("uuid", flat=True)]
    if ids:
        with instruments.provider_call(provider.cloud, "cancel"):
            provider.cancel(ids)
    return len(ids)


# --- Observe and apply ---------------------------------------------------------------------------


@dataclass(slots=True)
class Watch:
    """What one scheduler remembers between two looks at a place: since when the provider misses an execution."""

    missing: dict[str, datetime]
    lost_after: timedelta = timedelta(seconds=60)


def observe(place_id: int, provider: Provider, watch: Watch) -> list[str]:
    """Ask the provider about all that is active, and apply what it says.

    Returns the uuids it knows nothing of and that may not have started, to be handed over again. One that
    ran and is missing for longer than the bound is LOST.
    """
    rows = Execution.objects.filter(place=place_id, status__in=states.EXECUTION_ACTIVE)
    active = {str(uuid): status for uuid, status in rows.values_list("uuid", "status")}
    observations: list[Observation] = []
    if active:
        with instruments.provider_call(provider.cloud, "observe"):
            observations = provider.observe(list(active))
    known = {observation.execution_id for observation in observations}
    now = timezone.now()
    watch.missing = {i: watch.missing.get(i, now) for i in active if i not in known}
    gone = [i for i, since in watch.missing.items() if active[i] == states.RUNNING and now - since > watch.lost_after]
    lost = [Observation(i, Phase.ENDED, ended_at=now, end=End.LOST, detail="The provider forgot it.") for i in gone]
    apply([*observations, *lost])
    return [i for i in watch.missing if active[i] == states.SUBMITTED]


def apply(observations: Sequence[Observation]) -> int:
    """Write what a provider says to executions and jobs, as one set; returns how many executions moved.

    A set that the database refuses is redone one by one, and the one it refuses then fails alone, with
    the error `database`.
    """
    if not observations:
        return 0
    try:
        return _apply(observations)
    except OperationalError:
        raise
    except DatabaseError:
        logger.exception("a set of %d observations was refused; going one by one", len(observations))
    moved = 0
    for observation in observations:
        with bound_contextvars(execution_id=observation.execution_id):
            moved += _apply_alone(observation)
    return moved


def _apply_alone(observation: Observation) -> int:
    try:
        return _apply([observation])
    except OperationalError:
        raise
    except DatabaseError:
        logger.exception("the observation of execution %s was refused", observation.execution_id)
        now = timezone.now()
        return _apply([Observation(observation.execution_id, Phase.ENDED, ended_at=now, end=None)])


def _apply(observations: Sequence[Observation]) -> int:
    told = {UUID(observation.execution_id): observation for observation in observations}
    with transaction.atomic():
        outcomes = Outcomes()
        for execution in sql.lock_active_executions(list(told)):
            outcomes.add(execution, told[execution.uuid])
        count = outcomes.write()
    instruments.note_waits(outcomes.waits.values())
    return count


_ENDS: Final[dict[End | None, tuple[str, str]]] = {
    End.EXITED: (states.FAILED, "exit-code"),
    End.TIMED_OUT: (states.FAILED, "timeout"),
    End.CANCELED: (states.CANCELED, "canceled-outside"),
    End.LOST: (states.LOST, "lost"),
    End.INTERRUPTED: (states.INTERRUPTED, "interrupted"),
    End.CANNOT_START: (states.FAILED, "cannot-start"),
    None: (states.FAILED, "database"),
}


class Outcomes:
    """Sorts observations into moves, and makes the moves as sets."""

    EXECUTION_FIELDS = ("started_at", "ended_at", "node", "exit_code", "detail", "error")
    JOB_FIELDS = ("started_at", "ended_at", "due_at", "reason", "error")

    def __init__(self) -> None:
        self.executions: dict[str, dict[int, dict[str, Any]]] = {}
        self.jobs: dict[str, dict[int, dict[str, Any]]] = {}
        # How many seconds after its job was queued each execution has started, of those that are seen to now.
        self.waits: dict[int, float] = {}
        self._errors: dict[str, Error] = {}
        self._now = timezone.now()

    def add(self, execution: sql.ActiveExecution, seen: Observation) -> None:
        if seen.phase is Phase.WAITING:
            return
        values = {"started_at": seen.started_at, "node": _text(seen.node, 255), "detail": ""}
        if seen.started_at and execution.job_queued_at and execution.started_at is None:
            self.waits[execution.id] = (seen.started_at - execution.job_queued_at).total_seconds()
        if seen.phase is Phase.ENDED:
            self._add_end(execution, seen, values)
            return
        self.executions.setdefault(states.RUNNING, {})[execution.id] = values
        if execution.job_status == states.STARTING:
            job = {"started_at": execution.job_started_at or seen.started_at, "reason": ""}
            self.jobs.setdefault(states.RUNNING, {})[execution.job_id] = job

    def _add_end(self, execution: sql.ActiveExecution, seen: Observation, values: dict[str, Any]) -> None:
        canceling = execution.job_status == states.CANCELING
        to, error = states.COMPLETED, None
        if seen.end is not End.EXITED or seen.exit_code != 0:
            to, name = _ENDS[seen.end]
            stopped = canceling and to in (states.CANCELED, states.LOST, states.INTERRUPTED)
            error = None if stopped else self._error(name)
        ended_at = seen.ended_at or self._now
        values |= {"ended_at": ended_at, "exit_code": seen.exit_code, "detail": _text(seen.detail, 1000)}
        values["error"] = error.pk if error else None
        self.executions.setdefault(to, {})[execution.id] = values
        job: dict[str, Any] = {
            "started_at": execution.job_started_at or seen.started_at,
            "ended_at": ended_at,
            "due_at": None,
        }
        job |= {"reason": _reason(to, error, seen), "error": values["error"]}
        goes_to = states.COMPLETED if to == states.COMPLETED else states.FAILED if error else states.CANCELED
        if error and error.should_be_retried and execution.tries < execution.max_tries and not canceling:
            goes_to = states.DELAYED
            backoff = min(settings.RETRY_BACKOFF_SECONDS * 2 ** (execution.tries - 1), MAX_BACKOFF_SECONDS)
            job |= {"ended_at": None, "due_at": self._now + timedelta(seconds=backoff)}
        self.jobs.setdefault(goes_to, {})[execution.job_id] = job

    def _error(self, name: str) -> Error:
        if not self._errors:
            self._errors = {error.name: error for error in Error.objects.filter(is_builtin=True)}
        return self._errors[name]

    def write(self) -> int:
        """Make the moves; caller holds the transaction and the locks. Returns the executions that moved."""
        count = 0
        for to, executions in self.executions.items():
            fields = self.EXECUTION_FIELDS if to != states.RUNNING else ("started_at", "node")
            moved = move_executions(executions, to, fields=fields)
            count += len(moved)
            for i in executions.keys() - set(moved):
                self.waits.pop(i, None)
        for to, jobs in self.jobs.items():
            move(jobs, to, fields=self.JOB_FIELDS if to != states.RUNNING else ("started_at", "reason"))
        return count


def _reason(to: str, error: Error | None, seen: Observation) -> str:
    """The job's reason code: EXIT_<n>, or the error's name."""
    if error is None:
        return "" if to == states.COMPLETED else CANCELED_BY_USER
    if seen.end is End.EXITED and seen.exit_code is not None:
        return f"EXIT_{seen.exit_code}"
    return error.name.upper().replace("-", "_")


def _text(text: str, limit: int) -> str:
    """A provider's words as the database takes them: no NUL, no more than fits."""
    return text.replace("\0", "")[:limit]


def wake_delayed() -> int:
    """Queue the jobs whose next try is due."""
    now = timezone.now()
    due = Job.objects.filter(status=states.DELAYED, due_at__lte=now).order_by("due_at")[:DELAYED_AT_ONCE]
    ids = list(due.values_list("id", flat=True))
    if not ids:
        return 0
    values = {i: {"queued_at": now, "due_at": None, "reason": "RETRY", "error": None} for i in ids}
    with transaction.atomic():
        return len(move(values, states.QUEUED, fields=("queued_at", "due_at", "reason", "error")))
