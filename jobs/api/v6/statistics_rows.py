"""Statistics of job types in the native surface's words, written out by hand as rows.py does."""

from __future__ import annotations

from typing import Any

from jobs.queries.statistics import Failures, InState, StatusCount
from jobtypes.api.v6.rows import brief, error, moment
from jobtypes.models import JobType


def status(job_type: JobType, counts: list[StatusCount]) -> dict[str, Any]:
    return {
        "job_type": brief(job_type),
        "job_counts": [
            {
                "status": each.status,
                "count": each.number,
                "most_recent": moment(each.most_recent),
                "category": each.category,
            }
            for each in counts
        ],
    }


def in_state(row: InState, since: str) -> dict[str, Any]:
    return {"job_type": brief(row.job_type), "count": row.number, since: moment(row.since)}


def failures(row: Failures) -> dict[str, Any]:
    return {
        "job_type": brief(row.job_type),
        "error": error(row.error),
        "count": row.number,
        "first_error": moment(row.first),
        "last_error": moment(row.last),
    }
