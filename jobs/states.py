"""The states of jobs and executions, and the moves between them. Plain Python: no Django here."""

from __future__ import annotations

from typing import Final

from controlplane.core.machine import Machine

PENDING: Final = "PENDING"
BLOCKED: Final = "BLOCKED"
QUEUED: Final = "QUEUED"
DELAYED: Final = "DELAYED"
STARTING: Final = "STARTING"
RUNNING: Final = "RUNNING"
CANCELING: Final = "CANCELING"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
CANCELED: Final = "CANCELED"
REJECTED: Final = "REJECTED"

#   PENDING ─→ QUEUED ─→ STARTING ─→ RUNNING ─→ COMPLETED | FAILED
#      ↕         ↑  ↑        │  └───────┬──────→ DELAYED ─→ QUEUED (the next try)
#   BLOCKED      │  └────────┘          ↓                 (or FAILED, when its money is spent)
#                └── requeue ──── FAILED | CANCELED ←─ CANCELING (a stop was asked for)
# A MapReduce job is never queued, its tasks are: it is PENDING until the first of them starts, then RUNNING.
JOB: Final = Machine(
    {
        PENDING: frozenset({QUEUED, BLOCKED, RUNNING, CANCELED, FAILED}),
        BLOCKED: frozenset({PENDING, CANCELED}),
        QUEUED: frozenset({STARTING, CANCELED, FAILED}),
        DELAYED: frozenset({QUEUED, CANCELED, FAILED}),
        STARTING: frozenset({RUNNING, DELAYED, CANCELING, COMPLETED, FAILED, REJECTED}),
        RUNNING: frozenset({COMPLETED, FAILED, DELAYED, CANCELING}),
        CANCELING: frozenset({CANCELED, COMPLETED, FAILED}),
        COMPLETED: frozenset(),
        FAILED: frozenset({QUEUED, PENDING}),
        CANCELED: frozenset({QUEUED, PENDING}),
        REJECTED: frozenset(),
    }
)
JOB_STATES: Final = tuple(JOB.moves)
FINAL: Final = (COMPLETED, FAILED, CANCELED, REJECTED)
FAILED_STATES: Final = (FAILED, REJECTED)
ACTIVE: Final = (STARTING, RUNNING, CANCELING)
WAITING: Final = (PENDING, BLOCKED, QUEUED, DELAYED)

# As v6 shows them. A job being canceled is QUEUED until an execution has started, RUNNING from then on.
SHOWN: Final = {
    **{state: state for state in (PENDING, BLOCKED, QUEUED, RUNNING, COMPLETED, FAILED, CANCELED)},
    DELAYED: QUEUED,
    STARTING: QUEUED,
    CANCELING: RUNNING,
    REJECTED: FAILED,
}


def shown(state: str, *, started: bool) -> str:
    """The status that v6 shows for a job in `state`."""
    return QUEUED if state == CANCELING and not started else SHOWN[state]


SHOWN_STATES: Final = (PENDING, BLOCKED, QUEUED, RUNNING, COMPLETED, FAILED, CANCELED)

CREATED: Final = "CREATED"
SUBMITTED: Final = "SUBMITTED"
LOST: Final = "LOST"
INTERRUPTED: Final = "INTERRUPTED"
FINISHING: Final = "FINISHING"

# FINISHING: the command of a Seed job has ended well, what it has put out is carried away.
EXECUTION: Final = Machine(
    {
        CREATED: frozenset({SUBMITTED, RUNNING, FINISHING, COMPLETED, FAILED, CANCELED, LOST}),
        SUBMITTED: frozenset({RUNNING, FINISHING, COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED}),
        RUNNING: frozenset({FINISHING, COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED}),
        FINISHING: frozenset({COMPLETED, FAILED, CANCELED}),
        COMPLETED: frozenset(),
        FAILED: frozenset(),
        CANCELED: frozenset(),
        LOST: frozenset(),
        INTERRUPTED: frozenset(),
    }
)
EXECUTION_STATES: Final = tuple(EXECUTION.moves)
EXECUTION_AT_PROVIDER: Final = (CREATED, SUBMITTED, RUNNING)
EXECUTION_ACTIVE: Final = (*EXECUTION_AT_PROVIDER, FINISHING)
EXECUTION_FINAL: Final = (COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED)
# As v6 shows them.
SHOWN_EXECUTION: Final = {
    **{state: state for state in EXECUTION.moves},
    CREATED: QUEUED,
    SUBMITTED: QUEUED,
    FINISHING: RUNNING,
    LOST: FAILED,
    INTERRUPTED: FAILED,
}
SHOWN_EXECUTION_STATES: Final = (QUEUED, RUNNING, COMPLETED, FAILED, CANCELED)

OPERATION_WAITING: Final = "WAITING"
STOPPING: Final = "STOPPING"
STOPPED: Final = "STOPPED"

OPERATION: Final = Machine(
    {
        OPERATION_WAITING: frozenset({RUNNING, STOPPED, FAILED}),
        RUNNING: frozenset({COMPLETED, STOPPING, FAILED}),
        STOPPING: frozenset({STOPPED, COMPLETED, FAILED}),
        STOPPED: frozenset(),
        COMPLETED: frozenset(),
        FAILED: frozenset(),
    }
)
OPERATION_STATES: Final = tuple(OPERATION.moves)
OPERATION_FINAL: Final = (STOPPED, COMPLETED, FAILED)
