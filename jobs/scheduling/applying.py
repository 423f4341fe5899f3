"""Apply: write what happened to executions and jobs, as sets."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from clusters.providers.base import End, Observation, Phase
from controlplane.core import instruments
from jobs import sql, staging, states
from jobs.models import TASKS, Shape
from jobs.scheduling.retrying import MAX_COST, NO_CAPACITY, Retrying, is_crowded_out
from jobs.services.cancel import CANCELED_BY_USER
from jobs.services.move import Ended, move, move_executions
from jobtypes.models import Error

logger = logging.getLogger("jobs.scheduling")


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
        executions = sql.lock_active_executions(list(told), states.EXECUTION_AT_PROVIDER)
        outcomes = Outcomes(executions)
        for execution in executions:
            outcomes.add(execution, told[execution.uuid])
        count = outcomes.write()
    instruments.note_waits(outcomes.waits.values())
    return count


def conclude(
    execution_uuid: UUID, *, error_name: str = "", detail: str = "", output: Mapping[str, Any] | None = None
) -> bool:
    """End an execution that is not at its provider: its input could not be brought, or its output is kept.

    `error_name`: of the control plane's own error that it ends with, none if all went well. Caller holds
    the transaction. False when it has ended already.
    """
    executions = sql.lock_active_executions([execution_uuid], (states.CREATED, states.FINISHING))
    outcomes = Outcomes(executions)
    for execution in executions:
        outcomes.conclude(execution, error_name, detail, output)
    return outcomes.write() > 0


_ENDS: Final[dict[End | None, tuple[str, str]]] = {
    End.EXITED: (states.FAILED, "exit-code"),
    End.TIMED_OUT: (states.FAILED, "timeout"),
    End.CANCELED: (states.CANCELED, "canceled-outside"),
    End.LOST: (states.LOST, "lost"),
    End.INTERRUPTED: (states.INTERRUPTED, "interrupted"),
    End.CANNOT_START: (states.FAILED, "cannot-start"),
    None: (states.FAILED, "database"),
}
# As Scale names them.
_SEED_ENDS: Final = {
    **_ENDS,
    End.LOST: (states.LOST, "node-lost"),
    End.CANNOT_START: (states.FAILED, "docker-task-launch"),
}
_STOPPED: Final = (states.CANCELED, states.LOST, states.INTERRUPTED)
# The exit codes after which there is something to be kept: the worker of tasks leaves word of what went wrong, too.
_LEAVES_SOMETHING: Final[dict[str, tuple[int, ...]]] = {Shape.SEED: (0,), Shape.MAP: (0, 1), Shape.REDUCE: (0, 1)}


class Outcomes:
    """Sorts what happened into moves, and makes the moves as sets."""

    RUNNING = ("started_at", "node")
    ENDED = ("started_at", "ended_at", "node", "exit_code", "detail", "error")
    STOPPED = ("started_at", "stopped_at", "node", "exit_code")
    CONCLUDED = ("ended_at", "detail", "error")
    JOB_RUNNING = ("started_at", "reason")
    JOB_ENDED = ("started_at", "ended_at", "due_at", "reason", "error")
    MAYBE = ("output", "rung", "max_tries")

    def __init__(self, executions: Collection[sql.ActiveExecution]) -> None:
        self._executions = {each.id: each for each in executions}
        # Where to, with which fields -> the values by id.
        self.executions: dict[tuple[str, tuple[str, ...]], dict[int, dict[str, Any]]] = {}
        self.jobs: dict[tuple[str, tuple[str, ...]], dict[int, dict[str, Any]]] = {}
        # How many seconds after its job was queued each execution has started, of those that are seen to now.
        self.waits: dict[int, float] = {}
        self._errors: dict[str, Error] = {}
        self._now = timezone.now()
        self._retrying = Retrying(executions, self._now)

    def add(self, execution: sql.ActiveExecution, seen: Observation) -> None:
        """What a provider says of an execution that it has."""
        if seen.phase is Phase.WAITING:
            return
        values = {"started_at": seen.started_at, "node": as_stored(seen.node, 255)}
        if seen.started_at and execution.job_queued_at and execution.started_at is None:
            self.waits[execution.id] = (seen.started_at - execution.job_queued_at).total_seconds()
        if seen.phase is not Phase.ENDED:
            self._runs(execution, seen.started_at)
            self._execution(execution, states.RUNNING, self.RUNNING, values)
        elif seen.end is End.EXITED and seen.exit_code in _LEAVES_SOMETHING.get(execution.shape, ()):
            self._runs(execution, seen.started_at)
            stopped = {"stopped_at": seen.ended_at or self._now, "exit_code": seen.exit_code}
            self._execution(execution, states.FINISHING, self.STOPPED, {**values, **stopped})
        else:
            self._ended(execution, seen, values)

    def conclude(
        self, execution: sql.ActiveExecution, error_name: str, detail: str, output: Mapping[str, Any] | None
    ) -> None:
        """The end of what is not at a provider."""
        canceled = bool(error_name) and execution.job_status == states.CANCELING
        error = self._error(error_name) if error_name and not canceled else None
        to = states.CANCELED if canceled else states.FAILED if error else states.COMPLETED
        ended_at = execution.stopped_at or self._now
        values = {"ended_at": ended_at, "detail": as_stored(detail, 1000), "error": error.pk if error else None}
        self._execution(execution, to, self.CONCLUDED, values)
        more = {} if output is None else {"output": dict(output)}
        reason = error.code if error else CANCELED_BY_USER if canceled else ""
        self._job_ended(execution, to, error, {"ended_at": ended_at, "reason": reason, **more})

    def _ended(self, execution: sql.ActiveExecution, seen: Observation, values: dict[str, Any]) -> None:
        canceling = execution.job_status == states.CANCELING
        to, error = states.COMPLETED, None
        if seen.end is not End.EXITED or seen.exit_code != 0:
            to, name = (_ENDS if execution.revision_id is None else _SEED_ENDS)[seen.end]
            if seen.end is End.TIMED_OUT and execution.money_bound:
                name = MAX_COST
            if seen.end is End.CANCELED and is_crowded_out(execution, self._now):
                to, name = states.FAILED, NO_CAPACITY
            error = None if canceling and to in _STOPPED else self._error_of(execution, seen, name)
        ended_at = seen.ended_at or self._now
        values |= {"ended_at": ended_at, "exit_code": seen.exit_code, "detail": as_stored(seen.detail, 1000)}
        self._execution(execution, to, self.ENDED, {**values, "error": error.pk if error else None})
        job = {"started_at": seen.started_at, "ended_at": ended_at, "reason": _reason(to, error, seen)}
        self._job_ended(execution, to, error, job)

    def _error_of(self, execution: sql.ActiveExecution, seen: Observation, name: str) -> Error:
        if seen.end is End.EXITED and execution.shape in TASKS:  # its worker was killed: by itself it leaves word
            return self._error("worker-failed")
        if seen.end is not End.EXITED or seen.exit_code is None or execution.revision_id is None:
            return self._error(name)
        return staging.error_of_exit(execution.revision_id, seen.exit_code) or self._error("algorithm-unknown")

    def _runs(self, execution: sql.ActiveExecution, started_at: datetime | None) -> None:
        if execution.job_status == states.STARTING:
            values = {"started_at": execution.job_started_at or started_at, "reason": ""}
            self.jobs.setdefault((states.RUNNING, self.JOB_RUNNING), {})[execution.job_id] = values

    def _job_ended(
        self, execution: sql.ActiveExecution, to: str, error: Error | None, values: Mapping[str, Any]
    ) -> None:
        canceling = execution.job_status == states.CANCELING
        job = {"due_at": None, **values, "error": error.pk if error else None}
        job["started_at"] = execution.job_started_at or values.get("started_at")
        goes_to = states.COMPLETED if to == states.COMPLETED else states.FAILED if error else states.CANCELED
        if error and not canceling and (again := self._retrying.again(execution, error)):
            goes_to = states.DELAYED
            job |= {"ended_at": None, **again}
        fields = (*self.JOB_ENDED, *(name for name in self.MAYBE if name in job))
        self.jobs.setdefault((goes_to, fields), {})[execution.job_id] = job

    def _execution(
        self, execution: sql.ActiveExecution, to: str, fields: tuple[str, ...], values: dict[str, Any]
    ) -> None:
        self.executions.setdefault((to, fields), {})[execution.id] = values

    def _error(self, name: str) -> Error:
        if not self._errors:
            self._errors = {error.name: error for error in Error.objects.filter(is_builtin=True)}
        return self._errors[name]

    def write(self) -> int:
        """Make the moves; caller holds the transaction and the locks. Returns the executions that moved."""
        count = 0
        ended: list[Ended] = []
        for (to, fields), executions in self.executions.items():
            moved = move_executions(executions, to, fields=fields)
            count += len(moved)
            if to in states.EXECUTION_FINAL:
                ended += (self._ended_so(i, to, executions[i]) for i in moved)
            for i in executions.keys() - set(moved):
                self.waits.pop(i, None)
        for (to, fields), jobs in _in_order(self.jobs):
            move(jobs, to, fields=fields, ended=[each for each in ended if each.job_id in jobs])
        return count

    def _ended_so(self, execution_id: int, to: str, values: Mapping[str, Any]) -> Ended:
        execution = self._executions[execution_id]
        exit_code = values.get("exit_code", execution.exit_code)
        return Ended(execution_id, execution.job_id, execution.number, execution.customer_id, to, exit_code)


def _in_order(
    jobs: Mapping[tuple[str, tuple[str, ...]], dict[int, dict[str, Any]]],
) -> Iterable[tuple[tuple[str, tuple[str, ...]], dict[int, dict[str, Any]]]]:
    """A job that is first seen when it has ended runs before it ends."""
    return sorted(jobs.items(), key=lambda item: item[0][0] != states.RUNNING)


def _reason(to: str, error: Error | None, seen: Observation) -> str:
    """The job's reason code: EXIT_<n>, or the error's name."""
    if error is None:
        return "" if to == states.COMPLETED else CANCELED_BY_USER
    if seen.end is End.EXITED and seen.exit_code is not None:
        return f"EXIT_{seen.exit_code}"
    return error.code


def as_stored(text: str, limit: int) -> str:
    """A provider's words as the database takes them: no NUL, no more than fits."""
    return text.replace("\0", "")[:limit]
