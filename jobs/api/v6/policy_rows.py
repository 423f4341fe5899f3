"""Policies in the native surface's words."""

from __future__ import annotations

from typing import Any

from jobs import queries
from jobs.models import Job, JobTypePolicy
from jobs.policy import Policy, Rung, stored_policy
from jobtypes.api.v6.rows import moment


def policy(row: Policy) -> dict[str, Any]:
    return {
        "places": [_place(rung) for rung in row.places],
        "tries": dict(row.tries),
        "backoff_seconds": row.backoff_seconds,
        "max_backoff_seconds": row.max_backoff_seconds,
        "max_cost": None if row.max_cost is None else f"{row.max_cost:f}",
    }


def _place(rung: Rung) -> dict[str, Any]:
    return {
        "cloud": rung.cloud,
        "region": rung.region,
        "capacity": rung.capacity or None,
        "wait_seconds": rung.wait_seconds,
        "chosen": None if rung.chosen is None else dict(rung.chosen),
    }


def standing(job: Job) -> dict[str, Any] | None:
    """A job's policy, and how far it has come with it; None of one without."""
    found = queries.policy_of(job.policy_id)
    if found is None:
        return None
    return {
        **policy(found),
        "rung": job.rung,
        "leaves": moment(job.leaves_at),
        "affordable_seconds": job.affordable_seconds,
        "why": queries.why_here(found, job.rung),
    }


def of_job_type(row: JobTypePolicy) -> dict[str, Any]:
    """Loaded with it: the policy, and who set it."""
    by = row.set_by.username if row.set_by else None
    return {**policy(stored_policy(row.policy.document)), "set_by": by, "since": moment(row.since)}
