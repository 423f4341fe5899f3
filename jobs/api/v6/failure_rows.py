"""Clusters of failures in the native surface's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs import queries
from jobs.models import FailureCluster
from jobs.queries.failures import MOST_COUNTED
from jobtypes.api.v6.rows import brief, error, moment


def clusters(page: Sequence[FailureCluster]) -> list[dict[str, Any]]:
    """Loaded with each: its errors, and who named it. Three statements, whatever the number."""
    ids = [each.pk for each in page]
    now, lately, breadths = queries.failed_now(ids), queries.failed_lately(ids), queries.breadths(ids)
    nobody = queries.Breadth(0, 0)
    return [_cluster(each, now.get(each.pk, 0), lately.get(each.pk, 0), breadths.get(each.pk, nobody)) for each in page]


def _cluster(row: FailureCluster, now: int, lately: int, breadth: queries.Breadth) -> dict[str, Any]:
    return {
        "id": row.pk,
        "title": row.title,
        "category": row.means.category if row.means else None,
        "exit_code": row.exit_code,
        "error": error(row.error),
        "named": error(row.named),
        "named_by": row.named_by.username if row.named_by else None,
        "named_since": moment(row.named_at),
        "first_seen": moment(row.first_seen),
        "last_seen": moment(row.last_seen),
        "total": row.total,
        "last_24_hours": lately,
        "failed_now": min(now, MOST_COUNTED),
        "failed_now_is_exact": now <= MOST_COUNTED,
        "customers": breadth.customers,
        "job_types": breadth.job_types,
    }


def detail(row: FailureCluster) -> dict[str, Any]:
    """One, with whose jobs, when, and a sample."""
    found = queries.breakdown(row.pk)
    return {
        **clusters([row])[0],
        "of_customers": [{"customer": customer.name, "failures": number} for customer, number in found.customers],
        "of_job_types": [
            {"job_type": brief(job_type) if job_type else None, "failures": number}
            for job_type, number in found.job_types
        ],
        "by_day": [{"day": day.isoformat(), "failures": number} for day, number in found.days],
        "sample": _sample(row),
    }


def _sample(row: FailureCluster) -> dict[str, Any] | None:
    if row.sample_job_id is None:
        return None
    where = {"job": {"id": row.sample_job_id}, "exe_num": row.sample_number}
    return {**where, "at": moment(row.sample_at), "log": row.sample_log}
