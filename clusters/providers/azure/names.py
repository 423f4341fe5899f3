"""Names at Azure Batch: a Batch job for each pool, customer and day; our executions are its tasks."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime

PREFIX = "cp-"
ID = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_DAY = re.compile(r"-(\d{8})", re.ASCII)
_POOL_CHARACTERS = 24
_CUSTOMER_CHARACTERS = 12


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _customer_part(customer: str) -> str:
    slug = re.sub(r"[^a-z0-9]", "", customer.lower())[:_CUSTOMER_CHARACTERS]
    return f"{slug or 'nobody'}-{_digest(customer)}"


def job_id(pool: str, customer: str, day: date) -> str:
    """At most 58 characters; Azure compares ids without regard to case, so all are small."""
    pool = pool.lower()
    if len(pool) > _POOL_CHARACTERS:
        pool = f"{pool[: _POOL_CHARACTERS - 9]}-{_digest(pool)}"
    return f"{PREFIX}{pool}-{_customer_part(customer)}-{day:%Y%m%d}"


def is_of(job: str, customer: str) -> bool:
    """Whether `job` is one of the customer's, whatever its pool and day."""
    return job.startswith(PREFIX) and job[:-9].endswith(f"-{_customer_part(customer)}") and day_of(job) is not None


def day_of(job: str) -> date | None:
    """The day in a job's id; None when it is no id of ours."""
    match = _DAY.fullmatch(job[-9:])
    if match is None or not job.startswith(PREFIX):
        return None
    try:
        return datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def handle(job: str, task: str) -> str:
    return f"{job}/{task}"


def parts(handle: str) -> tuple[str, str] | None:
    """Job and task of a handle; None when it is none."""
    job, slash, task = handle.partition("/")
    return (job, task) if slash and ID.fullmatch(job) and ID.fullmatch(task) else None
