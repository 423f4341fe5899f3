"""Hours and months of UTC, in whole milliseconds: how what ran is cut into pieces that are each metered once.

No piece goes over the full hour, so none goes over the end of a day or of a month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

HOUR: Final = timedelta(hours=1)
HOUR_MS: Final = 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_MONTH: Final = re.compile(r"(2\d{3})-(0[1-9]|1[0-2])", re.ASCII)


def milliseconds(moment: datetime) -> int:
    """Since 1970, rounded down: two moments in a row come to as much as their ends."""
    return (moment - _EPOCH) // _MS


def moment_of(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def month_of(moment: datetime) -> date:
    """The first of its month."""
    return moment.astimezone(UTC).date().replace(day=1)


def next_month(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def parse_month(text: str) -> date | None:
    """The first of the month that people write as `2026-03`."""
    found = _MONTH.fullmatch(text)
    return date(int(found[1]), int(found[2]), 1) if found else None


def begin(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def pieces(begun_ms: int, ended_ms: int) -> Iterator[tuple[int, int]]:
    """What lies between two moments, cut at full hours. Nothing when the clock went back between them."""
    at = begun_ms
    while at < ended_ms:
        end = min(ended_ms, at - at % HOUR_MS + HOUR_MS)
        yield at, end
        at = end
