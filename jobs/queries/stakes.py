"""What is at stake when staff do something to many jobs: the money that a cancel loses, and that a new run will take.

Each looks at a bounded number of jobs, however many match, and says so when there are more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, QuerySet
from django.utils import timezone

from clusters.queries import amount
from jobs import states
from jobs.models import Execution, Job, Shape
from jobs.queries.outlook import history
from jobs.queries.quantiles import seconds_of
from jobs.queries.rates import Rates

RUNNING_LOOKED_AT: Final = 1000
JOBS_LOOKED_AT: Final = 10_000
KINDS_LOOKED_AT: Final = 10
# What a price depends on, as Rates.rate takes it.
_PRICED_OF_JOB: Final = ("place__cloud", "place__region", "customer_id", "vcpus_milli", "memory_mib")
_PRICED: Final = ("place__cloud", "place__region", "job__customer_id", "job__vcpus_milli", "job__memory_mib")


@dataclass(frozen=True, slots=True)
class Lost:
    """What runs of some jobs, and what that has cost so far at present prices, in USD.

    `unpriced`: how many of them have no price. Not `is_all`: more of them run than were looked at.
    """

    running: int
    cost: Decimal
    unpriced: int
    is_all: bool


@dataclass(frozen=True, slots=True)
class Likely:
    """What another run of some jobs will cost, in USD: as long as half of their kind took, and as nine in ten did.

    `unknown`: how many of them are of kinds that have never come to a good end, or have no price.
    """

    jobs: int
    half: Decimal
    most: Decimal
    unknown: int
    is_all: bool


def lost_by_stopping(jobs: QuerySet[Job]) -> Lost:
    """What is lost if those of `jobs` that run are stopped now, tasks of MapReduce jobs among it."""
    looked_at = RUNNING_LOOKED_AT + 1
    active = jobs.filter(status__in=states.ACTIVE).order_by().values_list("pk", "shape")[:looked_at]
    ids: list[int] = []
    roots: list[int] = []
    for pk, shape in active:
        (roots if shape == Shape.MAPREDUCE else ids).append(pk)
    if roots:
        tasks = Job.objects.filter(parent__in=roots, status__in=states.ACTIVE).order_by()
        ids += tasks.values_list("pk", flat=True)[:looked_at]
    found = Execution.objects.filter(job__in=ids, status__in=states.EXECUTION_ACTIVE, started_at__isnull=False)
    rows = list(found.order_by().values_list("started_at", "capacity", "job__shape", *_PRICED)[:looked_at])
    rates = _rates(row[3:6] for row in rows)
    now, cost, unpriced = timezone.now(), Decimal(0), 0
    for began, capacity, shape, *what in rows:
        rate = rates.rate(*what, whole=shape == Shape.INSTANCE, capacity=capacity)
        if rate is None or rate.is_example:
            unpriced += 1
        else:
            cost += amount(rate.per_hour, seconds_of(now - began))
    return Lost(len(rows), cost, unpriced, len(ids) + len(roots) <= RUNNING_LOOKED_AT)


def _rates(where: Iterable[Sequence[Any]]) -> Rates:
    """The prices of now for customers at places: a statement for each place."""
    rates = Rates()
    customers: dict[tuple[str, str], set[int]] = {}
    for cloud, region, customer_id in where:
        customers.setdefault((cloud, region), set()).add(customer_id)
    for (cloud, region), its in customers.items():
        rates.read(cloud, region, its)
    return rates


def likely_cost(jobs: QuerySet[Job]) -> Likely:
    """What it will cost to run those of `jobs` again that have ended."""
    chosen = jobs.filter(status__in=states.FINAL, parent__isnull=True).order_by().values("pk")[: JOBS_LOOKED_AT + 1]
    kind = ("shape", "classification", "revision_id", "capacity", *_PRICED_OF_JOB)
    counted = Job.objects.filter(pk__in=chosen).order_by().values_list(*kind).annotate(number=Count("pk"))
    rows = sorted(counted, key=lambda each: -each[-1])
    known = rows[:KINDS_LOOKED_AT]
    rates, half, most = _rates(row[4:7] for row in known), Decimal(0), Decimal(0)
    unknown = sum(row[-1] for row in rows[KINDS_LOOKED_AT:])
    for shape, classification, revision_id, capacity, *what, number in known:
        rate = rates.rate(*what, whole=shape == Shape.INSTANCE, capacity=capacity)
        usual = history(what[2], shape, classification, revision_id)
        if rate is None or rate.is_example or usual is None:
            unknown += number
            continue
        half += number * amount(rate.per_hour, usual.p50_seconds)
        most += number * amount(rate.per_hour, usual.p90_seconds)
    total = sum(row[-1] for row in rows)
    return Likely(total, half, most, unknown, total <= JOBS_LOOKED_AT)
