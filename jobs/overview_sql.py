"""The statements of pages that look at all that has ended: what failed lately, and how much came to an end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from controlplane.core import sets
from jobs import states

_FAILED: Final = f"""
SELECT coalesce(e.category, ''), count(*) FROM (
    SELECT error_id FROM jobs_job
    WHERE parent_id IS NULL AND status IN ('{states.FAILED}', '{states.REJECTED}') AND modified_at >= %s LIMIT %s
) j LEFT JOIN jobtypes_error e ON e.id = j.error_id GROUP BY 1
"""  # noqa: S608


def failed_since(since: datetime, most: int) -> dict[str, int]:
    """Jobs that failed, and changed last at or after `since`, by their error's category; `most` are looked at."""
    rows = sets.run(_FAILED, [sets.moment(since), most])
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
    at = sets.moment(since)
    statement = _ENDED.format(span=_SPAN_POSTGRESQL if sets.is_postgresql() else _SPAN_SQLITE)
    return [
        (datetime.fromtimestamp(int(span) * SPAN_SECONDS, UTC), status, category, int(number))
        for span, status, category, number in sets.run(statement, [at, at])
    ]
