"""How many jobs of each job type there are in which state: exact, at a cost that does not grow with the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from jobs import count_sql, counts, states
from jobs.count_sql import Window
from jobtypes.models import Error, JobType
from jobtypes.queries import DOCUMENTS

# No job has changed its state after this long from now, whatever the clocks say.
AHEAD: Final = timedelta(days=1)
_HOUR: Final = 60
_NEVER: Final = (0, 0)


# --- By status -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatusCount:
    """Jobs of a type in a status, as v6 shows it, with errors of a category; None: without an error."""

    status: str
    category: str | None
    number: int
    most_recent: datetime


def status_counts(
    job_type_ids: Sequence[int], *, started: datetime, ended: datetime | None = None
) -> dict[int, list[StatusCount]]:
    """For each type, the jobs that came to their state from `started` to `ended`, and all that run, whenever they did.

    Ordered by status and category. What is not there has no row.
    """
    found: dict[int, dict[tuple[str, str], StatusCount]] = {type_id: {} for type_id in job_type_ids}
    for type_id, state, category, number, most_recent in count_sql.within(job_type_ids, window(started, ended)):
        status = states.SHOWN[state]
        known = found[type_id].get((status, category or ""))
        if known is not None:
            number, most_recent = number + known.number, max(most_recent, known.most_recent)
        found[type_id][status, category or ""] = StatusCount(status, category, number, most_recent)
    return {type_id: [rows[key] for key in sorted(rows)] for type_id, rows in found.items()}


def counts_of(job_type_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """How many jobs each of these types has in each state it has any in. One statement."""
    found: dict[int, dict[str, int]] = {type_id: {} for type_id in job_type_ids}
    for type_id, state, number in count_sql.present(job_type_ids):
        found[type_id][state] = number
    return found


def window(started: datetime, ended: datetime | None) -> Window:
    """The time from `started` to `ended`, both included, made up of whole hours, whole minutes and a rest.

    Where the sums of minutes may be deleted already, less than an hour is rest.
    """
    latest = timezone.now() + AHEAD
    started = min(started, latest)
    until = latest if ended is None else min(ended + timedelta(microseconds=1), latest) if ended < latest else latest
    kept = counts.minute_of(timezone.now()) - counts.MINUTES_READ
    first, last = -(-_microseconds(started) // 60_000_000), counts.minute_of(until)
    first_hour, last_hour = _up(first), last - last % _HOUR
    first = first if first >= kept else first_hour
    last = last if last_hour >= kept else last_hour
    if first >= last:
        return Window(until, _NEVER, (_NEVER, _NEVER), _NEVER, ((started, until), (until, until)))
    if first_hour >= last_hour:
        hours, minutes = _NEVER, ((first, last), _NEVER)
    else:
        hours, minutes = (first_hour, last_hour), ((first, first_hour), (last_hour, last))
    return Window(until, hours, minutes, (first, last), ((started, _moment(first)), (_moment(last), until)))


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _up(minute: int) -> int:
    """The first whole hour from `minute` on."""
    return -(-minute // _HOUR) * _HOUR


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


# --- Lists ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InState:
    """Jobs of a type that are in a state, and since when the oldest has been."""

    job_type: JobType
    number: int
    since: datetime


def pending(start: int, size: int) -> tuple[list[InState], int]:
    """The job types with jobs that wait for their input, longest first: `size` of them from `start` on.

    And how many types there are in all; 0 when there is nothing from `start` on.
    """
    return _longest((states.PENDING,), start, size)


def running(start: int, size: int) -> tuple[list[InState], int]:
    """The job types with running jobs, as `pending`. A job that is being canceled counts as running."""
    return _longest([state for state, shown in states.SHOWN.items() if shown == states.RUNNING], start, size)


def _longest(shown: Sequence[str], start: int, size: int) -> tuple[list[InState], int]:
    rows, total = count_sql.longest(shown, start, size)
    job_types = _job_types([type_id for type_id, *_ in rows])
    return [InState(job_types[type_id], number, since) for type_id, number, since in rows], total


@dataclass(frozen=True, slots=True)
class Failures:
    """Jobs of a type that failed with an error of the system."""

    job_type: JobType
    error: Error
    number: int
    first: datetime
    last: datetime


def system_failures(start: int, size: int) -> tuple[list[Failures], int]:
    """What jobs of each type failed with that was the system's fault, the latest first, as `pending`."""
    rows, total = count_sql.system_failures(start, size)
    job_types = _job_types([row[0] for row in rows])
    errors = Error.objects.in_bulk({row[1] for row in rows})
    found = [Failures(job_types[row[0]], errors[row[1]], number=row[2], first=row[3], last=row[4]) for row in rows]
    return found, total


def _job_types(ids: Sequence[int]) -> dict[int, JobType]:
    return JobType.objects.defer(*DOCUMENTS).in_bulk(set(ids))
