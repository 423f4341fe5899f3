"""The statement that counts what is alive: what waits in line, what waits elsewhere, and what is active, by lane.

Counted when somebody asks as long as there is little of it. Of much, the counts are kept in LaneCount every few
seconds, by whoever does periodic work, and pages and metrics read these: a page costs lanes then, and not jobs.
What decides which job starts never reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from controlplane.core import sets
from jobs import states
from jobs.models import Shape

MANY: Final = 20_000  # jobs that are alive; fewer are counted when somebody asks
KEPT_FOR: Final = timedelta(minutes=1)  # older counts are not believed: nobody does periodic work
RETRY: Final = "RETRY"
WAITS_FOR_NODE: Final = "WAITS_FOR_NODE"
LOOKING: Final = "LOOKING_FOR_INPUT"
WAITS_FOR_TASKS: Final = "WAITS_FOR_TASKS"


@dataclass(frozen=True, slots=True)
class Alive:
    """Jobs of a lane that are alike: in one status, of one shape if they are active, waiting for one reason.

    `code`: why they wait, unless they are queued or active. `since`: since when the first of them has been in line,
    or in its status. `priority`: the smallest number of those in line, which is what runs first. `first`: the lowest
    of their ids, unless they are in line or active.
    """

    lane_id: int
    status: str
    shape: str
    code: str
    jobs: int
    vcpus_milli: int
    memory_mib: int
    since: datetime
    priority: int
    first: int
    place_id: int
    customer_id: int
    job_type_id: int | None
    counted_at: datetime | None  # None: just now


_COLUMNS: Final = "lane_id, status, shape, code, jobs, vcpus_milli, memory_mib, since, priority, first"
# Costs an entry of the line's index for each.
_QUEUED: Final = f"""
SELECT lane_id, '{states.QUEUED}' AS status, '' AS shape, '' AS code, count(*) AS jobs, 0 AS vcpus_milli,
    0 AS memory_mib, min(queued_at) AS since, min(priority) AS priority, 0 AS first
FROM jobs_job WHERE status = '{states.QUEUED}' GROUP BY lane_id
"""  # noqa: S608 - the names are ours
_NOT_QUEUED: Final = f"""
SELECT lane_id, status, '' AS shape, code, count(*) AS jobs, 0 AS vcpus_milli, 0 AS memory_mib,
    min(moved_at) AS since, 0 AS priority, min(id) AS first
FROM (
    SELECT j.id, j.lane_id, j.status, j.moved_at, CASE
        WHEN j.shape = '{Shape.MAPREDUCE}' THEN
            CASE WHEN s.splits IS NULL THEN '{LOOKING}' ELSE '{WAITS_FOR_TASKS}' END
        WHEN j.status = '{states.BLOCKED}' AND j.reason <> '' THEN j.reason ELSE '{WAITS_FOR_NODE}' END AS code
    FROM jobs_job j LEFT JOIN jobs_mapreducespec s ON s.job_id = j.id
    WHERE j.parent_id IS NULL AND j.status IN ('{states.PENDING}', '{states.BLOCKED}')
    UNION ALL
    SELECT id, lane_id, status, moved_at, '{RETRY}' FROM jobs_job WHERE status = '{states.DELAYED}'
) each_one GROUP BY lane_id, status, code
"""  # noqa: S608
# A MapReduce job takes no room, its tasks do. Said as the partial index over lanes says it.
TAKES_ROOM: Final = f"""
status IN ({", ".join(f"'{status}'" for status in states.ACTIVE)}) AND NOT (shape = '{Shape.MAPREDUCE}')
"""
_ACTIVE: Final = f"""
SELECT lane_id, status, shape, '' AS code, count(*) AS jobs, sum(vcpus_milli) AS vcpus_milli,
    sum(memory_mib) AS memory_mib, min(moved_at) AS since, 0 AS priority, 0 AS first
FROM jobs_job WHERE {TAKES_ROOM} GROUP BY lane_id, status, shape
"""  # noqa: S608
_ALIVE: Final = f"{_QUEUED} UNION ALL {_NOT_QUEUED} UNION ALL {_ACTIVE}"
_READ: Final = """
SELECT {columns}, l.place_id, l.customer_id, l.job_type_id, {at} FROM {counts} c JOIN jobs_lane l ON l.id = c.lane_id
"""
_SOME: Final = ", ".join(f"c.{name}" for name in _COLUMNS.split(", "))
_COUNT: Final = _READ.format(columns=_SOME, at="NULL", counts=f"({_ALIVE})")
_COUNT_ACTIVE: Final = _READ.format(columns=_SOME, at="NULL", counts=f"({_ACTIVE})")
_KEPT: Final = _READ.format(columns=_SOME, at="c.at", counts="jobs_lanecount") + "WHERE c.at >= %s"
_KEY: Final = ("lane_id", "status", "shape", "code")
_KEEP: Final = f"""
WITH found AS ({_ALIVE})
INSERT INTO jobs_lanecount (at, {_COLUMNS})
SELECT %s, {_COLUMNS} FROM found WHERE (SELECT sum(jobs) FROM found) >= %s
ORDER BY {", ".join(_KEY)}
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET at = excluded.at,
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name not in _KEY)}
"""  # noqa: S608


def alive() -> list[Alive]:
    """All that waits or is active. Of many jobs, as they were when they were counted last."""
    return _rows(_KEPT, [sets.moment(timezone.now() - KEPT_FOR)]) or _rows(_COUNT)


def active_now() -> list[Alive]:
    """What is active, at this moment. Costs as many jobs."""
    return _rows(_COUNT_ACTIVE)


def keep_counts() -> None:
    """Count what is alive, and keep it if that is much. Caller holds a transaction."""
    now = sets.moment(timezone.now())
    sets.run(_KEEP, [now, MANY])
    sets.run("DELETE FROM jobs_lanecount WHERE at < %s", [now])


def _rows(statement: str, parameters: Sequence[Any] = ()) -> list[Alive]:
    return [_alive(row) for row in sets.run(statement, parameters)]


def _alive(row: Sequence[Any]) -> Alive:
    counted_at = None if row[13] is None else sets.aware(row[13])
    return Alive(*(*row[:4], *map(int, row[4:7]), sets.aware(row[7]), *row[8:13], counted_at))
