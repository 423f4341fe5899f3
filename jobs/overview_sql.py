"""The statements of pages that look at everything at once: what waits elsewhere than in line, what runs, what fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import connection

from controlplane.core import sets
from jobs import states
from jobs.models import Shape

RETRY: Final = "RETRY"
WAITS_FOR_NODE: Final = "WAITS_FOR_NODE"
LOOKING: Final = "LOOKING_FOR_INPUT"
WAITS_FOR_TASKS: Final = "WAITS_FOR_TASKS"


@dataclass(frozen=True, slots=True)
class NotQueued:
    """Jobs of a lane that are not in line yet, for the same reason; the first of them since `since`."""

    code: str
    status: str
    lane_id: int
    place_id: int
    customer_id: int
    jobs: int
    since: datetime
    first: int


_NOT_QUEUED: Final = f"""
SELECT k.code, k.status, k.lane_id, l.place_id, l.customer_id, k.jobs, k.since, k.first FROM (
    SELECT code, status, lane_id, count(*) AS jobs, min(moved_at) AS since, min(id) AS first FROM (
        SELECT j.id, j.lane_id, j.status, j.moved_at, CASE
            WHEN j.shape = '{Shape.MAPREDUCE}' THEN
                CASE WHEN s.splits IS NULL THEN '{LOOKING}' ELSE '{WAITS_FOR_TASKS}' END
            WHEN j.status = '{states.BLOCKED}' AND j.reason <> '' THEN j.reason ELSE '{WAITS_FOR_NODE}' END AS code
        FROM jobs_job j LEFT JOIN jobs_mapreducespec s ON s.job_id = j.id
        WHERE j.parent_id IS NULL AND j.status IN ('{states.PENDING}', '{states.BLOCKED}')
        UNION ALL
        SELECT id, lane_id, status, moved_at, '{RETRY}' FROM jobs_job WHERE status = '{states.DELAYED}'
    ) each_one GROUP BY code, status, lane_id
) k JOIN jobs_lane l ON l.id = k.lane_id
"""  # noqa: S608 - the names are ours


def not_queued() -> list[NotQueued]:
    """What is PENDING, BLOCKED or DELAYED, by lane and reason. Costs a look at each such job."""
    return [NotQueued(*(*row[:6], sets.aware(row[6]), row[7])) for row in sets.run(_NOT_QUEUED)]


@dataclass(frozen=True, slots=True)
class Active:
    """How many jobs of a kind are active at a place in a status, and the vCPUs that they have there."""

    place_id: int
    shape: str
    job_type_id: int | None
    job_type: str | None
    status: str
    jobs: int
    vcpus_milli: int


# As the partial index over lanes says it: a MapReduce job takes no room, its tasks do.
_ACTIVE: Final = f"""
SELECT k.place_id, k.shape, k.job_type_id, t.name || ' ' || t.version, k.status, k.jobs, k.vcpus FROM (
    SELECT place_id, shape, job_type_id, status, count(*) AS jobs, sum(vcpus_milli) AS vcpus FROM jobs_job
    WHERE status IN ({", ".join(f"'{status}'" for status in states.ACTIVE)}) AND NOT (shape = '{Shape.MAPREDUCE}')
    GROUP BY place_id, shape, job_type_id, status
) k LEFT JOIN jobtypes_jobtype t ON t.id = k.job_type_id
"""  # noqa: S608


def active() -> list[Active]:
    """What is active, by place, kind and status. Costs what is active."""
    return [Active(*(*row[:6], int(row[6]))) for row in sets.run(_ACTIVE)]


_FAILED: Final = f"""
SELECT coalesce(e.category, ''), count(*) FROM (
    SELECT error_id FROM jobs_job
    WHERE parent_id IS NULL AND status IN ('{states.FAILED}', '{states.REJECTED}') AND modified_at >= %s LIMIT %s
) j LEFT JOIN jobtypes_error e ON e.id = j.error_id GROUP BY 1
"""  # noqa: S608


def failed_since(since: datetime, most: int) -> dict[str, int]:
    """Jobs that failed, and changed last at or after `since`, by their error's category; `most` are looked at."""
    rows = sets.run(_FAILED, [connection.ops.adapt_datetimefield_value(since), most])
    return {category: int(number) for category, number in rows}


# --- What has ended, by spans of time -------------------------------------------------------------

SPAN_SECONDS: Final = 300
_ENDED: Final = f"""
SELECT k.span, k.status, coalesce(e.category, ''), sum(k.jobs) FROM (
    SELECT {{span}} AS span, status, error_id, count(*) AS jobs FROM jobs_job
    WHERE parent_id IS NULL AND status IN ({", ".join(f"'{status}'" for status in states.FINAL)})
        AND modified_at >= %s AND moved_at >= %s
    GROUP BY 1, 2, 3
) k LEFT JOIN jobtypes_error e ON e.id = k.error_id GROUP BY 1, 2, 3
"""  # noqa: S608
_SPAN_POSTGRESQL: Final = f"floor(extract(epoch FROM moved_at) / {SPAN_SECONDS})::bigint"
_SPAN_SQLITE: Final = f"CAST(strftime('%%s', moved_at) AS INTEGER) / {SPAN_SECONDS}"


def ended_since(since: datetime) -> list[tuple[datetime, str, str, int]]:
    """Jobs that came to an end at or after `since`: (beginning of the span, status, category of error, number)."""
    at = connection.ops.adapt_datetimefield_value(since)
    statement = _ENDED.format(span=_SPAN_POSTGRESQL if sets.is_postgresql() else _SPAN_SQLITE)
    return [
        (datetime.fromtimestamp(int(span) * SPAN_SECONDS, UTC), status, category, int(number))
        for span, status, category, number in sets.run(statement, [at, at])
    ]
