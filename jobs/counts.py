"""Counting the jobs of job types as they move: each move leaves what it changes, and adds nothing up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from controlplane.core import sets
from jobs.models import CountDelta

# For how long the sums of single minutes are kept, in minutes: those of hours, and of all time, stay. Who reads
# them leaves out the oldest: clocks differ.
MINUTES_KEPT: Final = 48 * 60
MINUTES_READ: Final = 47 * 60

FIELDS: Final = ("minute", "job_type_id", "status", "error_id", "number")

# minute of the change of status, job type, status, error, by how many. Without a job type it is not counted.
Change = tuple[int, int | None, str, int | None, int]


def minute_of(at: datetime) -> int:
    """The minute in which `at` lies, since the epoch."""
    return int(at.timestamp() // 60)


def record(changes: Iterable[Change]) -> None:
    """Note what changed. Caller holds the transaction of the change."""
    totals: Counter[tuple[int, int, str, int]] = Counter()
    for minute, job_type_id, status, error_id, number in changes:
        if job_type_id is not None:
            totals[minute, job_type_id, status, error_id or 0] += number
    sets.insert(CountDelta, FIELDS, [(*key, number) for key, number in totals.items() if number])
