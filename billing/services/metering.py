"""The meter: what has run becomes records, each second once, whoever dies in between.

What ends is found by following the event log; what goes on is taken up to the last full hour, from time to time. Both
write what is *not there yet* of what ran, as they see it: records that are there already are compared, and where one
says too much or too little another says the difference.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from accounts.following import follow
from accounts.models import Event
from billing import hours, money
from billing.models import UsageKind, UsageRecord
from billing.models.usage import ENDS_BY, METER
from billing.queries import billed_rate
from billing.services.budgets import settle
from billing.services.ledger import Entry, enter, locked
from controlplane.core import sets
from jobs import states
from jobs.models import Execution
from jobs.services import price_executions

AT_ONCE: Final = 2000
# A move by which an execution ends: out of the states in which a job has one.
_ENDS: Final = Q(before__status__in=states.ACTIVE) & ~Q(after__status__in=states.ACTIVE)
SLICE_SECONDS: Final = 20.0
# A full hour is metered so long after its end: till then whatever ended in it is known to have.
SETTLES_AFTER: Final = timedelta(minutes=2)
_READ: Final = (
    *("id", "started_at", "ended_at", "price_offer", "price_rate", "price_source"),
    *("job_id", "job__parent_id", "job__shape", "job__customer_id", "job__owner_id", "job__job_type_id"),
    *("job__vcpus_milli", "job__memory_mib", "place__cloud", "place__region"),
)
_TIMES: Final = ("run_ms", "vcpu_ms", "gib_ms", "cost_nano")


@dataclass(frozen=True, slots=True)
class Metered:
    """What records say already of what began at one moment: sums over its record and the corrections of it."""

    ended_ms: int
    numbers: int
    sums: tuple[int, ...]


def meter() -> int:
    """Meter what has ended since the last time, for a slice of time. How many events that took."""
    done, end = 0, time.monotonic() + SLICE_SECONDS
    while time.monotonic() < end and (gone := follow(METER, {ENDS_BY}, _meter_ended, AT_ONCE, _ENDS, ("subject_id",))):
        done += gone
    return done


def checkpoint(now: datetime | None = None) -> int:
    """Meter what goes on, up to the last full hour. How many records that made."""
    upto = hours.hour_of((now or timezone.now()) - SETTLES_AFTER)
    made, last = 0, 0
    going_on = Execution.objects.filter(status__in=states.EXECUTION_ACTIVE, started_at__lt=upto).order_by("pk")
    while True:
        with locked():
            runs = _read(going_on.filter(pk__gt=last)[:AT_ONCE])
            entries = _meter(runs, upto)
            settle(entries, ())
        made += len(entries)
        if len(runs) < AT_ONCE:
            return made
        last = runs[-1].id


def _meter_ended(events: Sequence[Event]) -> None:
    jobs = sorted({event.subject_id for event in events})
    ended = Execution.objects.filter(sets.among("job", jobs, Execution), status__in=states.EXECUTION_FINAL)
    runs = _read(ended.order_by("pk"))
    settle(_meter(runs), {run.id for run in runs})


def _meter(runs: Sequence[_Run], upto: datetime | None = None) -> list[Entry]:
    """Write what is not there yet of executions: up to their ends, or to the full hour `upto`. What was written."""
    found = _metered([run.id for run in runs])
    entries: list[Entry] = []
    for run in runs:
        until = run.ended_at or upto
        if until is not None and run.started_at is not None:
            entries += _missing(run, until, found.get(run.id, {}))
    enter(entries)
    return entries


def _metered(ids: list[int]) -> dict[int, dict[int, Metered]]:
    """Of executions, by their ids and the beginning in milliseconds. In one statement."""
    rows = (
        UsageRecord.objects.filter(sets.among("source_id", ids, UsageRecord), kind=UsageKind.EXECUTION)
        .values_list("source_id", "begun_at")
        .annotate(Max("ended_at"), Max("number"), *(Sum(name) for name in _TIMES))
    )
    found: dict[int, dict[int, Metered]] = defaultdict(dict)
    for source, begun, ended, number, *sums in rows:
        found[source][hours.milliseconds(begun)] = Metered(hours.milliseconds(ended), number + 1, tuple(sums))
    return found


@dataclass(slots=True)
class _Run:
    """An execution as it is now, and what all of its records say. Without an end, it goes on."""

    id: int
    said: Mapping[str, Any]
    vcpus_milli: int
    memory_mib: int
    started_at: datetime | None
    ended_at: datetime | None

    def entry(self, begun_ms: int, ended_ms: int, cost_nano: int = 0, **used: Any) -> Entry:
        return Entry(
            UsageKind.EXECUTION, self.id, begun_ms=begun_ms, ended_ms=ended_ms, cost_nano=cost_nano, **self.said, **used
        )

    def pieces(self, until: datetime) -> Iterator[Entry]:
        """What it has used in each hour."""
        begun, rate = hours.milliseconds(self.started_at or until), self.said["rate"]
        for piece_begun, piece_ended in hours.pieces(begun, hours.milliseconds(self.ended_at or until)):
            ms = piece_ended - piece_begun
            yield self.entry(
                piece_begun,
                piece_ended,
                money.cost_between(rate, piece_begun - begun, piece_ended - begun),
                run_ms=ms,
                vcpu_ms=ms * self.vcpus_milli // 1000,
                gib_ms=ms * self.memory_mib // 1024,
            )


def _read(executions: QuerySet[Execution]) -> list[_Run]:
    """These executions; those that have no price yet get it first, if they have begun."""
    rows = list(executions.values_list(*_READ))
    unpriced = [row[0] for row in rows if row[1] is not None and not row[5]]
    if unpriced:
        price_executions(executions=unpriced)
        rows = list(Execution.objects.filter(sets.among("id", [row[0] for row in rows], Execution)).values_list(*_READ))
    return [_run(*row) for row in sorted(rows)]


def _run(
    execution_id: int, started_at: datetime | None, ended_at: datetime | None, offer: str, rate: Decimal | None,
    source: str, job_id: int, parent_id: int | None, shape: str, customer_id: int, owner_id: int,
    job_type_id: int | None, vcpus_milli: int, memory_mib: int, cloud: str, region: str,
) -> _Run:  # fmt: skip
    said = {
        "customer_id": customer_id,
        "owner_id": owner_id,
        "shape": shape,
        "cloud": cloud,
        "region": region,
        "job_id": job_id,
        "root_id": parent_id or job_id,
        "job_type_id": job_type_id,
        "offer": offer,
        "rate": billed_rate(rate, source),
    }
    return _Run(execution_id, said, vcpus_milli, memory_mib, started_at, ended_at)


def _missing(run: _Run, until: datetime, metered: dict[int, Metered]) -> Iterator[Entry]:
    """What has to be added to what is metered of `run`, so that it says its pieces and nothing else."""
    for piece in run.pieces(until):
        there = metered.pop(piece.begun_ms, None)
        if there is None:
            yield piece
        elif any(added := [new - old for new, old in zip(_values(piece), there.sums, strict=True)]):
            yield _difference(piece, there.numbers, added)
    for begun_ms, there in metered.items():
        # It did not run then at all: a clock was put back, or its end came to be known late.
        if any(there.sums):
            at = run.entry(begun_ms, there.ended_ms)
            yield _difference(at, there.numbers, [-each for each in there.sums])


def _difference(entry: Entry, number: int, added: Sequence[int]) -> Entry:
    run_ms, vcpu_ms, gib_ms, cost_nano = added
    return replace(entry, number=number, run_ms=run_ms, vcpu_ms=vcpu_ms, gib_ms=gib_ms, cost_nano=cost_nano)


_values = attrgetter(*_TIMES)
