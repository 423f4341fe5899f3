"""How long peers were connected to containers, read from all of them again and again, and added up by the hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from clusters import queries, states
from clusters.models import PeerReading, PeerTime
from clusters.queries import PeerTarget
from clusters.telemetry import peers
from controlplane.core import sets

logger = logging.getLogger("clusters.peers")
ROUND_SECONDS: Final = 25.0  # what is not read by then comes first in the next round
AT_ONCE: Final = 200  # containers that are written down together
READERS: Final = 32
HOUR: Final = timedelta(hours=1)
MICROSECOND: Final = timedelta(microseconds=1)
# What was not read for longer is counted as of this time: how it was spread is not known.
LONGEST: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a placement said at a moment; no values: it could not be read, and `failure` says why."""

    target: PeerTarget
    read_at: datetime
    values: peers.Values | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Last:
    """What had been counted of a placement."""

    run: str
    read_at: datetime | None
    values: peers.Values


_NOTHING: Final = _Last("", None, {})


def note_metered(metered: Mapping[int, int]) -> None:
    """Records were made of so many milliseconds of these rows of PeerTime. In the transaction that makes them."""
    rows = PeerTime.objects.in_bulk(list(metered))
    for pk, row in rows.items():
        row.metered_ms = metered[pk]
    PeerTime.objects.bulk_update(rows.values(), ["metered_ms"])


def count_peers() -> int:
    """Read every container, and add what came since it was last read; how many were read. Any number may at once."""
    end = time.monotonic() + ROUND_SECONDS
    targets = queries.peer_targets()
    if not targets:
        return 0
    read, failed = 0, list[Reading]()
    with ThreadPoolExecutor(min(READERS, len(targets)), thread_name_prefix="peers") as pool:
        for first in range(0, len(targets), AT_ONCE):
            chunk = targets[first : first + AT_ONCE]
            last = _last_of(chunk)
            readings = [each for each in pool.map(partial(_read, end=end), chunk) if each is not None]
            _apply(readings, last)
            read += sum(each.values is not None for each in readings)
            failed += [each for each in readings if each.values is None]
            if time.monotonic() > end:
                break
    if failed:
        logger.warning("%d containers do not say their peers' time: %s", len(failed), failed[0].failure)
    PeerReading.objects.filter(placement__status=states.GONE).delete()
    return read


def _read(target: PeerTarget, end: float) -> Reading | None:
    """In a thread of the pool, which knows no database. None: it is too late to ask."""
    seconds = min(peers.READ_SECONDS, end - time.monotonic())
    if seconds <= 0:
        return None
    try:
        values = peers.read(target.host, target.port, target.metrics_path or "/metrics", seconds)
    except peers.Unreadable as error:
        return Reading(target, timezone.now(), None, str(error))
    return Reading(target, timezone.now(), values)


def _last_of(targets: Sequence[PeerTarget]) -> dict[int, _Last]:
    """What had been counted, by placement: looked up before they are read, so that a reading is never older."""
    rows = PeerReading.objects.filter(placement__in=[each.placement_id for each in targets])
    return {pk: _Last(*rest) for pk, *rest in rows.values_list("placement", "run", "read_at", "values")}


def _apply(readings: Sequence[Reading], last: Mapping[int, _Last]) -> None:
    """Write down what was read, and add what came since `last`: in so many statements whatever it is."""
    readings = sorted(readings, key=lambda each: each.target.placement_id)
    ids = [each.target.placement_id for each in readings]
    unknown: list[sets.Row] = [(pk, "", {}, 0) for pk in ids if pk not in last]
    good, failed, sums = [], list[int](), dict[tuple[int, datetime], int]()
    with transaction.atomic():
        sets.insert(PeerReading, ("placement", "run", "values", "failures"), unknown, new_only=True)
        present = _locked(ids)
        for each in readings:
            pk, before = each.target.placement_id, last.get(each.target.placement_id, _NOTHING)
            # Somebody else has counted it, or it runs anew by now: whose values these are is not known.
            if present.get(pk) != (before.read_at, each.target.run):
                continue
            grown = None if each.values is None else _grown(each, before)
            if grown is None:
                failed.append(pk)
                continue
            good.append((pk, each.target.run, each.read_at, each.values, 0))
            for hour, milliseconds in grown.items():
                key = (each.target.container_id, hour)
                sums[key] = sums.get(key, 0) + milliseconds
        sets.upsert(PeerReading, ("placement", "run", "read_at", "values", "failures"), good, key=("placement",))
        _add(sums)
        if failed:
            PeerReading.objects.filter(placement__in=failed).update(failures=F("failures") + 1)


def _locked(placements: Sequence[int]) -> dict[int, tuple[datetime | None, str]]:
    """When each was last read, and its run by now; nobody else counts them until the transaction ends."""
    rows = PeerReading.objects.select_for_update(of=("self",)).filter(placement__in=placements).order_by("placement")
    return {pk: (read_at, run) for pk, read_at, run in rows.values_list("placement", "read_at", "placement__run")}


def _add(sums: Mapping[tuple[int, datetime], int]) -> None:
    now = timezone.now()
    rows = [(*key, milliseconds, now) for key, milliseconds in sorted(sums.items())]
    fields = ("container", "hour", "milliseconds", "updated_at")
    sets.upsert(PeerTime, fields, rows, key=("container", "hour"), add=("milliseconds",))


def _grown(reading: Reading, last: _Last) -> dict[datetime, int] | None:
    """The milliseconds that came since, by hour; None if that is more than can be."""
    assert reading.values is not None
    is_same = last.read_at is not None and last.run == reading.target.run
    milliseconds = peers.increase(reading.values, last.values if is_same else {})
    if milliseconds > peers.MAX_MILLISECONDS:
        return None
    begun = last.read_at if is_same and last.read_at is not None else reading.read_at
    return by_hour(milliseconds, begun, reading.read_at)


def by_hour(milliseconds: int, begun: datetime, ended: datetime) -> dict[datetime, int]:
    """Spread evenly over the hours that a time touches, none of it lost. If it is no time: all to its last hour."""
    if begun >= ended:
        return {_hour(ended): milliseconds} if milliseconds else {}
    begun = max(begun, ended - LONGEST)
    found, given, hour = {}, 0, _hour(begun)
    while hour < ended:
        until = min(hour + HOUR, ended)
        so_far = milliseconds * ((until - begun) // MICROSECOND) // ((ended - begun) // MICROSECOND)
        found[hour], given = so_far - given, so_far
        hour += HOUR
    return {hour: part for hour, part in found.items() if part}


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
