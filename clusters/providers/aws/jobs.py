"""What AWS Batch tells of a job, as an Observation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from clusters.providers.base import End, Observation, Phase

CANCEL_REASON: Final = "canceled by the control plane"
ENDED: Final = ("SUCCEEDED", "FAILED")
WAITING: Final = ("SUBMITTED", "PENDING", "RUNNABLE")
_PHASES: Final = {"RUNNING": Phase.RUNNING, **dict.fromkeys(ENDED, Phase.ENDED)}
# By AWS's words: there are no codes for these.
_ENDS: Final = (
    (re.compile(re.escape(CANCEL_REASON)), End.CANCELED),
    (re.compile(r"Job attempt duration exceeded timeout"), End.TIMED_OUT),
    (re.compile(r"Host EC2.* terminated|Your Spot Task was interrupted|SpotInterruption"), End.INTERRUPTED),
    (
        re.compile(
            r"Cannot(Pull|Create|Start)\w*Error|ResourceInitializationError|TaskFailedToStart"
            r"|DockerTimeoutError: Could not transition to (created|started)"
        ),
        End.CANNOT_START,
    ),
)
# The container ran and failed, but AWS lost its code: any that is not 0 tells that.
_FAILED: Final = 1


def observation(handle: str, job: Mapping[str, Any]) -> Observation:
    """What a row of DescribeJobs says. Its reasons are kept as they are, that of the job before the container's."""
    phase = _PHASES.get(job["status"], Phase.WAITING)
    container = job.get("container") or {}
    started, ended = moment(job.get("startedAt")), moment(job.get("stoppedAt"))
    detail, node = words(job), _node(job)
    if phase is not Phase.ENDED:
        return Observation(handle, phase, started if phase is Phase.RUNNING else None, detail=detail, node=node)
    end, code = _end(job)
    if end is End.EXITED and code and container.get("exitCode") is None:
        detail = detail or "FAILED, and AWS Batch tells no exit code"
    return Observation(handle, phase, started, ended, end, code, detail, node)


def words(job: Mapping[str, Any]) -> str:
    """AWS's own words on a job."""
    told = (job.get("statusReason"), (job.get("container") or {}).get("reason"))
    return "; ".join(one for one in told if one)


def moment(milliseconds: int | None) -> datetime | None:
    """0 stands for never."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds and milliseconds > 0 else None


def _end(job: Mapping[str, Any]) -> tuple[End, int | None]:
    """Why a job ended, and its exit code. Ends that are not the command's own keep the code if AWS has one."""
    code = (job.get("container") or {}).get("exitCode")
    if job["status"] == "SUCCEEDED":
        return End.EXITED, 0
    told = words(job)
    for pattern, end in _ENDS:
        if pattern.search(told):
            return end, code
    # Of a whole array we tell the parent, and whether its children repeat our words is not for us to rely on.
    if job.get("arrayProperties") and (job.get("isTerminated") or job.get("isCancelled")):
        return End.CANCELED, code
    if code is not None:
        return End.EXITED, int(code) or _FAILED
    if moment(job.get("startedAt")) is None:
        return End.CANNOT_START, None
    return End.EXITED, _FAILED


def _node(job: Mapping[str, Any]) -> str:
    """The machine; on FARGATE, where there is none to name, the task, which is also the end of its log's name."""
    container = job.get("container") or {}
    named = container.get("containerInstanceArn") or container.get("taskArn") or container.get("logStreamName") or ""
    return str(named).rpartition("/")[2]
