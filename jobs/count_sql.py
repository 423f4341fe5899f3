"""The statements that count the jobs of job types: the sums, what is not in them yet, and probes of the index.

Every answer is one statement, so that it sees one state of the database: a job that moves, or a delta that goes
over into the sums, is counted once. A probe is a look at one end of the index (job_type, status, error, moved_at);
the sums say where there is something to find.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controlplane.core import sets
from jobs import states
from jobs.models.count import ALL, HOUR, MINUTE
from jobtypes.models import Category

# --- Folding -------------------------------------------------------------------------------------

# The sums are written in the order of their key, so that two who add up at once wait for each other in turn.
_ADD: Final = f"""
INSERT INTO jobs_jobcount (job_type_id, span, minute, status, error_id, number)
SELECT d.job_type_id, s.span, CASE s.span WHEN {ALL} THEN 0 ELSE d.minute - d.minute %% s.span END,
    d.status, d.error_id, sum(d.number)
FROM {{deltas}} d CROSS JOIN (SELECT {ALL} AS span UNION ALL SELECT {HOUR} UNION ALL SELECT {MINUTE}) s
WHERE s.span <> {MINUTE} OR d.minute >= %s
GROUP BY 1, 2, 3, 4, 5 HAVING sum(d.number) <> 0
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (job_type_id, span, minute, status, error_id)
DO UPDATE SET number = jobs_jobcount.number + excluded.number
RETURNING id, number
"""  # noqa: S608 - the names are ours
# An array is read once. A plan may ask `IN (SELECT … LIMIT)` anew for each row, and take more than the limit.
_FOLD_POSTGRESQL: Final = f"""
WITH taken AS (
    DELETE FROM jobs_countdelta
    WHERE id = ANY(ARRAY(SELECT id FROM jobs_countdelta ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING job_type_id, minute, status, error_id, number
), added AS ({_ADD.format(deltas="taken")})
SELECT (SELECT count(*) FROM taken), coalesce((SELECT array_agg(id) FROM added WHERE number = 0), '{{}}')
"""  # noqa: S608
_TAKEN_SQLITE: Final = "(SELECT * FROM jobs_countdelta WHERE id IN (SELECT value FROM json_each(%s)))"


def fold(limit: int, first_minute: int) -> int:
    """Add up to `limit` deltas to the sums and delete them; returns how many. Caller holds a transaction.

    Minutes before `first_minute` get no row of their own. A sum that comes to nothing loses its row.
    """
    if sets.is_postgresql():
        [(taken, empty)] = sets.run(_FOLD_POSTGRESQL, [limit, first_minute])
    else:
        ids = json.dumps([row[0] for row in sets.run("SELECT id FROM jobs_countdelta ORDER BY id LIMIT %s", [limit])])
        added = sets.run(_ADD.format(deltas=_TAKEN_SQLITE), [ids, first_minute])
        sets.run("DELETE FROM jobs_countdelta WHERE id IN (SELECT value FROM json_each(%s))", [ids])
        taken, empty = len(json.loads(ids)), [sum_id for sum_id, number in added if number == 0]
    if empty:
        sets.run(f"DELETE FROM jobs_jobcount WHERE id {sets.in_one()}", [sets.as_one(empty)])  # noqa: S608
    return int(taken)


# --- What there is -------------------------------------------------------------------------------

# Every kind of job there is now (by type, status and error), with how many.
_PRESENT: Final = f"""
SELECT job_type_id, status, error_id, sum(number) AS number FROM (
    SELECT job_type_id, status, error_id, number FROM jobs_jobcount WHERE span = {ALL} AND {{which}}
    UNION ALL
    SELECT job_type_id, status, error_id, number FROM jobs_countdelta WHERE {{which}}
) c GROUP BY job_type_id, status, error_id HAVING sum(number) > 0
"""  # noqa: S608
# A look into the index for the jobs of one kind `p`. Equality with null is not in the index's words.
_OF_KIND: Final = "FROM jobs_job j WHERE j.job_type_id = p.job_type_id AND j.status = p.status AND j.error_id"
# Not min() and max(): where the error is null, PostgreSQL would read all jobs of the kind for them.
_FIRST: Final = " ORDER BY j.error_id, j.moved_at LIMIT 1"
_LAST: Final = " ORDER BY j.error_id DESC, j.moved_at DESC LIMIT 1"


def _probe(what: str, rest: str) -> str:
    """`what` of the jobs of the kind `p`; `rest` narrows them, or says which."""
    return (
        f"CASE WHEN p.error_id = 0 THEN (SELECT {what} {_OF_KIND} IS NULL{rest})"
        f" ELSE (SELECT {what} {_OF_KIND} = p.error_id{rest}) END"
    )


def present(job_type_ids: Sequence[int]) -> list[tuple[int, str, int]]:
    """How many jobs of these types there are: (job type, status, number), errors taken together."""
    statement = (
        f"SELECT job_type_id, status, sum(number) FROM ({_PRESENT.format(which=f'job_type_id {sets.in_one()}')}) p"  # noqa: S608
        " GROUP BY job_type_id, status"
    )
    ids = sets.as_one(job_type_ids)
    return [(row[0], row[1], int(row[2])) for row in sets.run(statement, [ids, ids])]


# --- A window ------------------------------------------------------------------------------------

Span = tuple[int, int]  # the first minute since the epoch, and the one after the last
Stretch = tuple[datetime, datetime]  # the first moment, and the first one after it


@dataclass(frozen=True, slots=True)
class Window:
    """A time up to `until`, taken apart: the sums of hours and of minutes in it, and the rest, counted job by job.

    `deltas` is all that the sums cover. What is empty begins where it ends, or later.
    """

    until: datetime
    hours: Span
    minutes: tuple[Span, Span]
    deltas: Span
    rest: tuple[Stretch, Stretch]


_BEFORE: Final = f" AND j.moved_at < %s{_LAST}"
_IS_RUNNING: Final = f"p.status IN ('{states.RUNNING}', '{states.CANCELING}')"
_BETWEEN: Final = " AND j.moved_at >= %s AND j.moved_at < %s"
_WITHIN: Final = f"""
WITH here AS ({_PRESENT}), covered AS (
    SELECT job_type_id, status, error_id, sum(number) AS number FROM (
        SELECT job_type_id, status, error_id, number FROM jobs_jobcount
        WHERE {{which}} AND span = {HOUR} AND minute >= %s AND minute < %s
        UNION ALL
        SELECT job_type_id, status, error_id, number FROM jobs_jobcount
        WHERE {{which}} AND span = {MINUTE} AND minute >= %s AND minute < %s
        UNION ALL
        SELECT job_type_id, status, error_id, number FROM jobs_jobcount
        WHERE {{which}} AND span = {MINUTE} AND minute >= %s AND minute < %s
        UNION ALL
        SELECT job_type_id, status, error_id, number FROM jobs_countdelta
        WHERE {{which}} AND minute >= %s AND minute < %s
    ) c GROUP BY job_type_id, status, error_id
), counted AS (
    SELECT p.job_type_id, p.status, p.error_id, CASE WHEN {_IS_RUNNING} THEN p.number ELSE
        coalesce(c.number, 0) + {_probe("count(*)", _BETWEEN)} + {_probe("count(*)", _BETWEEN)} END AS number
    FROM here p LEFT JOIN covered c
        ON c.job_type_id = p.job_type_id AND c.status = p.status AND c.error_id = p.error_id
)
SELECT p.job_type_id, p.status, e.category, p.number,
    CASE WHEN {_IS_RUNNING} THEN {_probe("j.moved_at", _LAST)} ELSE {_probe("j.moved_at", _BEFORE)} END
FROM counted p LEFT JOIN jobtypes_error e ON e.id = p.error_id WHERE p.number > 0
"""  # noqa: S608


def within(job_type_ids: Sequence[int], window: Window) -> list[tuple[int, str, str | None, int, datetime]]:
    """The jobs of these types that came to their state in the window, and all that run.

    (Job type, status, category of the error, number, when the last one came to it), once for each error.
    """
    ids = sets.as_one(job_type_ids)
    covered = [each for span in (window.hours, *window.minutes, window.deltas) for each in (ids, *span)]
    # Each probe has its parameters twice: for jobs without an error, and for those with one.
    rest = [sets.moment(at) for stretch in window.rest for at in (*stretch, *stretch)]
    until = [sets.moment(window.until)] * 2
    rows = sets.run(_WITHIN.format(which=f"job_type_id {sets.in_one()}"), [ids, ids, *covered, *rest, *until])
    return [(*row[:3], int(row[3]), sets.aware(row[4])) for row in rows]


# --- Lists by what an index probe finds ----------------------------------------------------------


_LONGEST: Final = f"""
WITH here AS ({_PRESENT})
SELECT job_type_id, sum(number), min(since), count(*) OVER () FROM (
    SELECT p.job_type_id, p.number, {_probe("j.moved_at", _FIRST)} AS since FROM here p
) k GROUP BY job_type_id ORDER BY 3, 1 LIMIT %s OFFSET %s
"""  # noqa: S608


def longest(statuses: Sequence[str], start: int, size: int) -> tuple[list[tuple[int, int, datetime]], int]:
    """The job types with jobs in these states, that with the oldest change first: `size` of them from `start` on.

    (Job type, number, since when the oldest has been in it), and how many types there are in all: 0 when there is
    nothing from `start` on.
    """
    which = f"status IN ({', '.join(['%s'] * len(statuses))})"
    rows = sets.run(_LONGEST.format(which=which), [*statuses, *statuses, size, start])
    return [(row[0], int(row[1]), sets.aware(row[2])) for row in rows], rows[0][3] if rows else 0


_OF_ERROR: Final = "FROM jobs_job j WHERE j.job_type_id = p.job_type_id AND j.error_id = p.error_id AND j.status"
_FAILED: Final = f"""
status IN ('{states.FAILED}', '{states.REJECTED}')
    AND error_id IN (SELECT id FROM jobtypes_error WHERE category = '{Category.SYSTEM}')
"""  # noqa: S608
_FAILURES: Final = f"""
WITH here AS ({_PRESENT.format(which=_FAILED)}), found AS (
    SELECT job_type_id, error_id, sum(number) AS number, max(last) AS last FROM (
        SELECT p.job_type_id, p.error_id, p.number,
            (SELECT max(j.moved_at) {_OF_ERROR} = p.status) AS last FROM here p
    ) k GROUP BY job_type_id, error_id
), page AS (
    SELECT job_type_id, error_id, number, last, count(*) OVER () AS total FROM found
    ORDER BY last DESC, job_type_id, error_id LIMIT %s OFFSET %s
)
SELECT job_type_id, error_id, number, last, total,
    (SELECT min(j.moved_at) {_OF_ERROR} = '{states.FAILED}'),
    (SELECT min(j.moved_at) {_OF_ERROR} = '{states.REJECTED}')
FROM page p ORDER BY last DESC, job_type_id, error_id
"""  # noqa: S608


def system_failures(start: int, size: int) -> tuple[list[tuple[int, int, int, datetime, datetime]], int]:
    """The errors of the system that jobs of each type failed with, the latest first: `size` of them from `start` on.

    (Job type, error, number, first, last), and how many there are in all: 0 when there is nothing from `start` on.
    """
    rows = sets.run(_FAILURES, [size, start])
    found = [
        (*row[:2], int(row[2]), min(sets.aware(first) for first in row[5:] if first is not None), sets.aware(row[3]))
        for row in rows
    ]
    return found, rows[0][4] if rows else 0
