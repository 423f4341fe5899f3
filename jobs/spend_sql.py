"""The statements that a claim asks about budgets: which there are, what is reserved, and how long jobs have taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controlplane.core import sets
from jobs import states


@dataclass(frozen=True, slots=True)
class SpendFacts:
    """A budget as gates see it. In billionths of USD."""

    key: str
    scope: str
    scope_id: str
    limit_nano: int
    spent_nano: int
    hint: str
    since: datetime


_GATES: Final = "SELECT key, scope, scope_id, limit_nano, spent_nano, hint, since FROM jobs_spendgate"
_OVER_POSTGRESQL: Final = f"{_GATES} WHERE scope || ':' || scope_id = ANY(%s) ORDER BY key FOR UPDATE"
_OVER_SQLITE: Final = f"""
{_GATES} WHERE scope || ':' || scope_id IN (SELECT value FROM json_each(%s)) ORDER BY key
"""  # noqa: S608 - the names are ours


def spend_gates() -> list[SpendFacts]:
    """Every budget there is."""
    return _facts(sets.run(f"{_GATES} ORDER BY key"))


def lock_spend_gates(scopes: Sequence[str]) -> list[SpendFacts]:
    """The budgets of these scopes ("customer:7"), kept as they are until the caller's transaction ends.

    Locked in the order of their keys.
    """
    if sets.is_postgresql():
        return _facts(sets.run(_OVER_POSTGRESQL, [list(scopes)]))
    return _facts(sets.run(_OVER_SQLITE, [json.dumps(list(scopes))]))


def _facts(rows: Sequence[Sequence[Any]]) -> list[SpendFacts]:
    return [SpendFacts(*(*row[:6], sets.aware(row[6]))) for row in rows]


_RESERVED: Final = """
SELECT j.customer_id, j.job_type_id, sum(e.reserved_nano) FROM jobs_execution e JOIN jobs_job j ON j.id = e.job_id
WHERE e.reserved_nano > 0 GROUP BY j.customer_id, j.job_type_id
"""


def reserved() -> list[tuple[int, int | None, int]]:
    """What is reserved, by customer and job type. Costs what runs and what has ended but is not metered yet."""
    return [(row[0], row[1], int(row[2])) for row in sets.run(_RESERVED)]


# Ordered by the error, too, which there is none of: else PostgreSQL does not see that the index has them in order.
_LAST: Final = f"""job_type_id = {{of}} AND status = '{states.COMPLETED}' AND error_id IS NULL
    ORDER BY error_id DESC, moved_at DESC LIMIT %s"""
_TOOK: Final = f"""JOIN jobs_execution e ON e.job_id = j.id
WHERE e.status = '{states.COMPLETED}' AND e.started_at IS NOT NULL"""
_TAKEN_POSTGRESQL: Final = f"""
SELECT t.id, e.started_at, e.ended_at FROM unnest(%s::bigint[]) AS t(id)
CROSS JOIN LATERAL (SELECT id FROM jobs_job WHERE {_LAST.format(of="t.id")}) j {_TOOK}
"""  # noqa: S608 - the names are ours
_TAKEN_SQLITE: Final = f"""
SELECT t.value, e.started_at, e.ended_at FROM json_each(%s) t
CROSS JOIN jobs_job j ON j.id IN (SELECT id FROM jobs_job WHERE {_LAST.format(of="t.value")}) {_TOOK}
"""  # noqa: S608


def taken(job_types: Sequence[int], each: int) -> dict[int, list[timedelta]]:
    """How long the last `each` executions of these job types took that came to a good end, by job type."""
    if sets.is_postgresql():
        rows = sets.run(_TAKEN_POSTGRESQL, [list(job_types), each])
    else:
        rows = sets.run(_TAKEN_SQLITE, [json.dumps(list(job_types)), each])
    found: dict[int, list[timedelta]] = {}
    for job_type_id, started_at, ended_at in rows:
        found.setdefault(job_type_id, []).append(sets.aware(ended_at) - sets.aware(started_at))
    return found
