"""Jobs that go from place to place: where each stands next, and the ways there.

A job changes its place only while it waits: when its next try comes after a pause, when somebody takes it back into
the queue, and when it has waited too long. See jobs.policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from clusters.queries import Rate, amount
from controlplane.core import sets
from controlplane.core.bells import ring
from jobs import sql, states
from jobs.models import Execution, Job, Lane, Place, Shape
from jobs.policy import Policy, Rung
from jobs.queries.policies import policy_of
from jobs.queries.rates import Rates
from jobs.services.move import move
from jobs.services.places import lane_id, place_id
from jobs.services.snapshots import price_executions
from jobs.services.told import tell_of_jobs
from jobtypes.models import Error

MOST_SECONDS: Final = 2**31 - 1  # what the column holds
AT_ONCE: Final = 1000
WAITED: Final = "WAITED"
FOOTING: Final = ("place", "lane", "rung", "capacity", "affordable_seconds", "leaves_at")


def affordable(limit: Decimal, spent: Decimal, rate: Rate | None) -> int | None:
    """How many whole seconds may be run for what is left; None: any number, for nothing is asked for them."""
    if rate is None:
        return 0
    if not rate.per_hour:
        return None
    seconds = (max(limit - spent, Decimal(0)) * 3600 / rate.per_hour).to_integral_value(ROUND_FLOOR)
    return min(int(seconds), MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class Footing:
    """Where a job stands: the columns FOOTING of it, and of whom an event tells. No money left: `is_broke`."""

    values: Mapping[str, Any]
    customer_id: int
    before: str
    after: str
    queue: str  # whose bell wakes the place
    is_broke: bool

    @property
    def moves(self) -> bool:
        return self.before != self.after


_READ: Final = (
    *("id", "policy_id", "customer_id", "owner_id", "job_type_id", "vcpus_milli", "memory_mib", "shape", "capacity"),
    *("place__cloud", "place__region", "lane__queue", "lane__on_hold"),
)


def footings(rungs: Mapping[int, int]) -> dict[int, Footing]:
    """Where jobs with a policy stand once they have come to that number of its places; `rungs` by the jobs' ids.

    Caller holds the transaction, and the rows.
    """
    if not rungs:
        return {}
    rows = Job.objects.filter(sets.among("id", list(rungs), Job)).order_by("id").values_list(*_READ)
    walk = _Walk([dict(zip(_READ, row, strict=True)) for row in rows])
    return {row["id"]: walk.footing(row, rungs[row["id"]]) for row in walk.rows}


class _Walk:
    """What jobs share that change their places together, each looked up once."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self._policies = {i: policy_of(i) for i in {row["policy_id"] for row in rows}}
        bounded = [row["id"] for row in rows if self._policy(row).max_cost is not None]
        self._spent = spent_on(bounded) if bounded else {}
        self._rates = Rates()
        self._places: dict[tuple[str, str], int] = {}
        self._lanes: dict[tuple[Any, ...], int] = {}
        self._now = timezone.now()

    def _policy(self, row: Mapping[str, Any]) -> Policy:
        found = self._policies[row["policy_id"]]
        assert found is not None
        return found

    def footing(self, row: Mapping[str, Any], number: int) -> Footing:
        policy = self._policy(row)
        before = Rung(row["place__cloud"], row["place__region"], row["capacity"])
        rung = policy.rung(number) or before
        place = self._place(rung)
        seconds = self._affordable(row, rung, policy.max_cost)
        waits = policy.wait_seconds(number)
        values = {
            "place": place,
            "lane": self._lane(row, place),
            "rung": number,
            "capacity": rung.capacity,
            "affordable_seconds": seconds,
            "leaves_at": None if waits is None else self._now + timedelta(seconds=waits),
        }
        queue = sql.pulse_queue(rung.cloud, rung.region)
        return Footing(values, row["customer_id"], str(before), str(rung), queue, is_broke=seconds == 0)

    def _place(self, rung: Rung) -> int:
        key = (rung.cloud, rung.region)
        if key not in self._places:
            self._places[key] = place_id(*key)
        return self._places[key]

    def _lane(self, row: Mapping[str, Any], place: int) -> int:
        line = (row["customer_id"], row["owner_id"], row["lane__queue"])
        key = (place, *line, row["vcpus_milli"], row["memory_mib"], row["job_type_id"])
        on_hold = row["lane__on_hold"]
        if (*key, on_hold) not in self._lanes:
            self._lanes[*key, on_hold] = lane_id(*key, on_hold=on_hold)
        return self._lanes[*key, on_hold]

    def _affordable(self, row: Mapping[str, Any], rung: Rung, limit: Decimal | None) -> int | None:
        if limit is None:
            return None
        where = (rung.cloud, rung.region, row["customer_id"], row["vcpus_milli"], row["memory_mib"])
        rate = self._rates.rate(*where, whole=row["shape"] == Shape.INSTANCE, capacity=rung.capacity)
        return affordable(limit, self._spent.get(row["id"], Decimal(0)), rate)


def spent_on(jobs: Sequence[int]) -> dict[int, Decimal]:
    """What the executions of each of these jobs that have ended came to, in USD."""
    price_executions(jobs=jobs)
    executions = Execution.objects.filter(sets.among("job", list(jobs), Execution), started_at__isnull=False)
    priced = executions.filter(ended_at__isnull=False, price_rate__isnull=False)
    found: dict[int, Decimal] = {}
    rows: Iterable[Any] = priced.values_list("job", "price_rate", "started_at", "ended_at")
    for job_id, rate, started_at, ended_at in rows:
        seconds = Decimal(max(ended_at - started_at, timedelta(0)) // timedelta(microseconds=1)) / 10**6
        found[job_id] = found.get(job_id, Decimal(0)) + amount(rate, seconds)
    return found


def wake_on_ladder(ids: Sequence[int]) -> int:
    """Queue DELAYED jobs that have a policy where their next try is to be; those without money left have failed."""
    with transaction.atomic():
        jobs = Job.objects.filter(sets.among("id", list(ids), Job), status=states.DELAYED)
        rungs = dict(jobs.select_for_update(of=("self",)).order_by("id").values_list("id", "rung"))
        found = footings(rungs)
        again = {"queued_at": timezone.now(), "due_at": None, "reason": "RETRY", "error": None}
        values = {i: {**again, **each.values} for i, each in found.items() if not each.is_broke}
        moved = move(values, states.QUEUED, fields=(*again, *FOOTING))
        _end_broke([i for i, each in found.items() if each.is_broke])
        announce({i: found[i] for i in moved}, "RETRY")
    return len(moved)


def _end_broke(ids: Sequence[int]) -> None:
    if not ids:
        return
    error = Error.objects.get(name="max-cost", is_builtin=True)
    values = {"ended_at": timezone.now(), "due_at": None, "reason": error.code, "error": error.pk}
    move(dict.fromkeys(ids, values), states.FAILED, fields=tuple(values))


def leave_crowded() -> int:
    """Let queued jobs that have waited longer than their policy says go on to their next place; how many."""
    late = Job.objects.filter(status=states.QUEUED, leaves_at__lte=timezone.now())
    ids = list(late.order_by("leaves_at").values_list("id", flat=True)[:AT_ONCE])
    if not ids:
        return 0
    with transaction.atomic():
        jobs = late.filter(sets.among("id", ids, Job))
        # As a claim does, so that none starts at the place it leaves.
        places = sorted(set(jobs.values_list("place", flat=True)))
        list(Place.objects.select_for_update().filter(pk__in=places).order_by("pk").values_list("pk", flat=True))
        locked = jobs.select_for_update(of=("self",)).order_by("id")
        rungs = {i: rung + 1 for i, rung in locked.values_list("id", "rung")}
        found = footings(rungs)
        gone = {i: each for i, each in found.items() if not each.is_broke}
        _update(gone)
        stay = [i for i, each in found.items() if each.is_broke]
        Job.objects.filter(sets.among("id", stay, Job)).update(leaves_at=None)
        announce(gone, WAITED)
    return len(gone)


def _update(gone: Mapping[int, Footing]) -> None:
    if not gone:
        return
    now, fields = timezone.now(), (*FOOTING, "modified_at")
    rows = [(i, *(each.values[name] for name in FOOTING), now) for i, each in gone.items()]
    sets.update_where(Job, fields, rows, (states.QUEUED,), ())
    lanes = list({each.values["lane"] for each in gone.values()})
    Lane.objects.filter(sets.among("id", lanes, Lane), waiting=False).update(waiting=True)


def announce(found: Mapping[int, Footing], why: str) -> None:
    """Tell of those that have changed their place, and wake those who serve it. Caller holds the transaction."""
    gone = {i: each for i, each in found.items() if each.moves}
    if not gone:
        return
    changes = {
        i: (each.customer_id, {"place": each.before}, {"place": each.after, "reason": why}) for i, each in gone.items()
    }
    tell_of_jobs("job.placed", changes, None)
    ring({each.queue for each in gone.values()})
