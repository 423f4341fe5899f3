"""From a Batch task to an observation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from azure.batch.models import (
    BatchErrorSourceCategory,
    BatchTask,
    BatchTaskExecutionInfo,
    BatchTaskFailureInfo,
    BatchTaskState,
)

from clusters.providers.azure.words import word
from clusters.providers.base import End, Observation, Phase

FIELDS: Final = [
    "id",
    "creationTime",
    "state",
    "stateTransitionTime",
    "previousState",
    "executionInfo",
    "nodeInfo",
    "constraints",
]
_FAILED_BY_ITSELF = "FailureExitCode"
_STOPPED = ("TaskEnded", "JobBeingTerminated")
# Azure says TaskEnded, by user request, of a task out of time, too. The difference is in the failure's details.
_OUT_OF_TIME = "maximum execution time"


def observation(handle: str, task: BatchTask) -> Observation:
    """What the task is to us."""
    info, node = task.execution_info, task.node_info
    started = _utc(info.start_time) if info else None
    name = (node.node_id or "") if node else ""
    if word(task.state) != BatchTaskState.COMPLETED:
        phase = Phase.RUNNING if word(task.state) == BatchTaskState.RUNNING else Phase.WAITING
        return Observation(handle, phase, started, detail=state_words(task), node=name)
    return Observation(
        handle,
        Phase.ENDED,
        started,
        _utc(info.end_time) if info else None,
        _end(task, info),
        info.exit_code if info else None,
        failure_words(info),
        name,
    )


def was_put_back(task: BatchTask) -> bool:
    """Whether it ran, and waits again: its node was taken away (a spot one) or failed, and Azure will start it anew."""
    return word(task.state) == BatchTaskState.ACTIVE and word(task.previous_state) == BatchTaskState.RUNNING


def interrupted(handle: str, task: BatchTask) -> Observation:
    """Of one that was put back in line."""
    info, node = task.execution_info, task.node_info
    return Observation(
        handle,
        Phase.ENDED,
        _utc(info.start_time) if info else None,
        _utc(task.state_transition_time),
        End.INTERRUPTED,
        detail=f"its node was taken away: {state_words(task)}",
        node=(node.node_id or "") if node else "",
    )


def _end(task: BatchTask, info: BatchTaskExecutionInfo | None) -> End:
    failure = info.failure_info if info else None
    if info is None or failure is None or failure.code == _FAILED_BY_ITSELF:
        return End.EXITED
    if failure.code in _STOPPED:
        return End.TIMED_OUT if _is_out_of_time(task, info, failure) else End.CANCELED
    if info.exit_code is not None:
        return End.EXITED
    return End.CANNOT_START if word(failure.category) == BatchErrorSourceCategory.USER_ERROR else End.LOST


def _is_out_of_time(task: BatchTask, info: BatchTaskExecutionInfo, failure: BatchTaskFailureInfo) -> bool:
    words = " ".join([failure.message or "", *((detail.value or "") for detail in failure.details or ())])
    if _OUT_OF_TIME in words:
        return True
    limit = task.constraints.max_wall_clock_time if task.constraints else None
    if limit is None or info.start_time is None or info.end_time is None:
        return False
    return bool(info.end_time - info.start_time >= limit)


def state_words(task: BatchTask) -> str:
    """The task's state, and the one before it."""
    before = f" (was {word(task.previous_state)})" if task.previous_state else ""
    return f"{word(task.state)}{before}"


def failure_words(info: BatchTaskExecutionInfo | None) -> str:
    """Why it failed, as Azure put it; empty when it did not."""
    if info is None:
        return ""
    words = []
    if failure := info.failure_info:
        details = "; ".join(f"{one.name}: {one.value}" for one in failure.details or ())
        words += [f"{failure.code}: {failure.message}", details]
    if info.container_info and info.container_info.error:
        words.append(info.container_info.error)
    return " ".join(word for word in words if word)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
