"""Our rows in Mapsor's words: states, units, times."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from accounts.models import User
from jobs import queries, states
from jobs.models import Job, Priority, Shape

STATUS: Final[dict[str, str]] = {
    states.PENDING: "QUEUED",
    states.BLOCKED: "QUEUED",
    states.QUEUED: "QUEUED",
    states.DELAYED: "QUEUED",
    states.STARTING: "QUEUED",
    states.RUNNING: "RUNNING",
    states.CANCELING: "CANCELLING",
    states.COMPLETED: "SUCCEEDED",
    states.FAILED: "FAILED",
    states.CANCELED: "CANCELLED",
    states.REJECTED: "REJECTED",
}


def milliseconds(at: datetime | None) -> int | None:
    """Epoch milliseconds."""
    return None if at is None else math.floor(at.timestamp() * 1000)


def moment(epoch_milliseconds: float) -> datetime:
    """The time of a number of epoch milliseconds, at the ends of the calendar when it lies beyond."""
    seconds = min(max(epoch_milliseconds / 1000, -62_135_596_800.0), 253_402_300_799.0)
    return datetime.fromtimestamp(seconds, UTC)


def end_of_millisecond(epoch_milliseconds: float) -> datetime:
    """The last time that is shown as this number: a window that ends at a job's own time includes it."""
    return moment(math.floor(epoch_milliseconds)) + timedelta(microseconds=999)


def row(job: Job, reader: User) -> dict[str, Any]:
    """A job as /list shows it."""
    return {
        "id": str(job.uuid),
        "classification_id": job.classification,
        "customer": job.customer.name,
        "cloud_provider": job.place.cloud,
        "region": job.place.region,
        "resources": {"vcpus": math.ceil(job.vcpus_milli / 1000), "memory": job.memory_mib / 1024},
        "image": None if job.shape == Shape.INSTANCE else job.image or None,
        "command": job.command,
        "ami": job.image if job.shape == Shape.INSTANCE else None,
        "queue": job.queue or None,
        "env": queries.environment(job, reader),
        "tags": job.tags,
        "priority": None if job.queue else Priority.HIGH.name if job.priority < Priority.LOW else Priority.LOW.name,
        "status": STATUS[job.status],
        "timeout": job.timeout_seconds,
        "retry_of": str(job.retry_of.uuid) if job.retry_of else None,
        "submitted_at": milliseconds(job.submitted_at),
        "started_at": milliseconds(job.started_at),
        "finished_at": milliseconds(job.ended_at),
    }
