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
#   BLOCKED      │  └────────┘          ↓
#                └── requeue ──── FAILED | CANCELED ←─ CANCELING (a stop was asked for)
JOB: Final = Machine(
    {
        PENDING: frozenset({QUEUED, BLOCKED, CANCELED}),
        BLOCKED: frozenset({PENDING, CANCELED}),
        QUEUED: frozenset({STARTING, CANCELED, FAILED}),
        DELAYED: frozenset({QUEUED, CANCELED}),
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
ACTIVE: Final = (STARTING, RUNNING, CANCELING)
WAITING: Final = (PENDING, BLOCKED, QUEUED, DELAYED)

CREATED: Final = "CREATED"
SUBMITTED: Final = "SUBMITTED"
LOST: Final = "LOST"
INTERRUPTED: Final = "INTERRUPTED"

EXECUTION: Final = Machine(
    {
        CREATED: frozenset({SUBMITTED, RUNNING, COMPLETED, FAILED, CANCELED, LOST}),
        SUBMITTED: frozenset({RUNNING, COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED}),
        RUNNING: frozenset({COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED}),
        COMPLETED: frozenset(),
        FAILED: frozenset(),
        CANCELED: frozenset(),
        LOST: frozenset(),
        INTERRUPTED: frozenset(),
    }
)
EXECUTION_STATES: Final = tuple(EXECUTION.moves)
EXECUTION_ACTIVE: Final = (CREATED, SUBMITTED, RUNNING)
EXECUTION_FINAL: Final = (COMPLETED, FAILED, CANCELED, LOST, INTERRUPTED)
