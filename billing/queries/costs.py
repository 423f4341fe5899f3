"""What was spent, on what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Customer, Role, User
from billing import hours, money
from billing.models import UsageDay, UsageKind, UsageRecord
from billing.models.usage import SUMS
from clusters.models import Cluster, Source
from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from jobs import states
from jobs.models import Execution, Job, Recipe, Shape
from jobs.queries.outlook import history
from jobs.queries.rates import Rates
from jobs.queries.recipes import jobs_inside
from jobtypes.models import JobType

# What costs may be grouped by, and the columns of that.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("customer_id",),
    "kind": ("kind",),
    "shape": ("shape",),
    "job_type": ("job_type_id",),
    "cluster": ("cluster_id",),
    "cloud": ("cloud",),
    "region": ("cloud", "region"),
    "day": ("day",),
    "month": ("bill_month",),
}
MOST_GROUPS: Final = 10_000


class Spent(NamedTuple):
    """A group: by what it is one (as GROUPS has it, names in place of ids), and the sums of it."""

    by: Mapping[str, Any]
    sums: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one thing, in billionths of a dollar: what is metered, what runs now since then, and what all may come to.

    Without an estimate it is not known what it will come to, or nobody can: it has no end.
    """

    metered_nano: int
    running_nano: int
    estimated_nano: int | None = None

    @property
    def so_far_nano(self) -> int:
        return self.metered_nano + self.running_nano


def _own(user: User) -> Q:
    """Jobs are a customer's, containers one user's alone."""
    if user.role != Role.CUSTOMER:
        return Q()
    of_containers = Q(kind__in=(UsageKind.CONTAINER, UsageKind.PEERS))
    return Q(customer_id=user.customer_id or -1) & (~of_containers | Q(owner_id=user.pk))


def visible_records(user: User) -> QuerySet[UsageRecord]:
    """All to staff; to others their customer's jobs, and their own containers."""
    return UsageRecord.objects.filter(_own(user))


def visible_days(user: User) -> QuerySet[UsageDay]:
    """The sums of what `visible_records` has."""
    return UsageDay.objects.filter(_own(user))


def costs_by(days: QuerySet[UsageDay], by: Sequence[str]) -> list[Spent]:
    """The sums of `days`, grouped; without a group all in one. Raises InvalidRequest where there are too many."""
    columns = list(dict.fromkeys(column for name in by for column in GROUPS[name]))
    if not columns:
        return [Spent({}, days.aggregate(**{name: Sum(name, default=0) for name in SUMS}))]
    rows = days.order_by(*columns).values_list(*columns).annotate(*(Sum(name) for name in SUMS))
    found = list(rows[: MOST_GROUPS + 1])
    if len(found) > MOST_GROUPS:
        message = f"This has more than {MOST_GROUPS} groups: ask for a shorter time, or group by less."
        raise InvalidRequest(message, field="group_by")
    by_column = [(column.removesuffix("_id"), _names(found, n, column)) for n, column in enumerate(columns)]
    return [
        Spent(
            {
                name: value if names is None else names[value]
                for (name, names), value in zip(by_column, row, strict=False)
            },
            dict(zip(SUMS, row[len(columns) :], strict=True)),
        )
        for row in found
    ]


def _names(found: Sequence[Sequence[Any]], at: int, column: str) -> dict[int, str | None] | None:
    """What the ids of the groups in a column are called, None where it has none; 0 is nobody, and nothing."""
    if column not in _NAMED:
        return None
    ids = {row[at] for row in found} - {0}
    return {0: None, **dict.fromkeys(ids, "gone"), **_NAMED[column](ids)}


_NAMED: Final[Mapping[str, Any]] = {
    "customer_id": lambda ids: dict(Customer.objects.filter(pk__in=ids).values_list("pk", "name")),
    "job_type_id": lambda ids: {
        pk: f"{name} {version}"
        for pk, name, version in JobType.objects.filter(pk__in=ids).values_list("pk", "name", "version")
    },
    "cluster_id": lambda ids: dict(Cluster.objects.filter(pk__in=ids).values_list("pk", "name")),
}


# --- Of one thing --------------------------------------------------------------------------------------------------


def job_cost(job: Job, now: datetime | None = None) -> Cost:
    """Of a job with all its tries; of a MapReduce job with all its tasks. Estimated by what its like took."""
    records = UsageRecord.objects.filter(root_id=job.parent_id or job.pk)
    if job.parent_id is not None:
        records = records.filter(job_id=job.pk)
    metered = records.aggregate(sum=Sum("cost_nano"))["sum"] or 0
    tasks = Execution.objects.filter(job__parent=job.pk, status__in=states.EXECUTION_ACTIVE)
    tries = tasks if job.shape == Shape.MAPREDUCE else Execution.objects.filter(job=job.pk)
    running = _running(tries, now or timezone.now())
    if job.status in states.FINAL:
        return Cost(metered, running, metered + running)
    return Cost(metered, running, _estimated(job, metered + running))


def recipe_cost(recipe: Recipe, now: datetime | None = None) -> Cost:
    """Of all jobs that were made in a recipe, and in recipes inside it; not of those that it has taken over."""
    jobs = jobs_inside([recipe.pk])
    records = UsageRecord.objects.filter(sets.among("root_id", jobs, UsageRecord))
    metered = records.aggregate(sum=Sum("cost_nano"))["sum"] or 0
    running = _running(Execution.objects.filter(sets.among("job", jobs, Execution)), now or timezone.now())
    is_over = recipe.completed_at is not None
    return Cost(metered, running, metered + running if is_over else None)


def job_type_metered(job_type: JobType) -> Cost:
    """Of all jobs of this version, of what runs up to the last full hour: as quick with many that run as with none."""
    metered = UsageDay.objects.filter(job_type_id=job_type.pk).aggregate(sum=Sum("cost_nano"))["sum"] or 0
    return Cost(metered, 0)


def job_type_cost(job_type: JobType, now: datetime | None = None) -> Cost:
    """Of all jobs of this version of a job type."""
    metered = job_type_metered(job_type).metered_nano
    active = Execution.objects.filter(job__job_type=job_type, status__in=states.EXECUTION_ACTIVE)
    return Cost(metered, _running(active, now or timezone.now()))


def cluster_cost(cluster: Cluster) -> Cost:
    """Of all containers of a cluster, up to the last full hour."""
    metered = UsageDay.objects.filter(cluster_id=cluster.pk).aggregate(sum=Sum("cost_nano"))["sum"] or 0
    return Cost(metered, 0)


def _running(executions: QuerySet[Execution], now: datetime) -> int:
    """What these have cost since they were metered last. What is not priced yet, at the prices that hold now.

    As many statements for any number of them at one place.
    """
    rows = list(
        executions.filter(started_at__isnull=False).values_list(
            *("id", "started_at", "ended_at", "price_rate", "price_source"),
            *("capacity", "place__cloud", "place__region"),
            *("job__shape", "job__vcpus_milli", "job__memory_mib", "job__customer_id"),
        )
    )
    if not rows:
        return 0
    ids = sets.among("source_id", [row[0] for row in rows], UsageRecord)
    metered_to = dict(
        UsageRecord.objects.filter(ids, kind=UsageKind.EXECUTION).values_list("source_id").annotate(Max("ended_at"))
    )
    rates, total = _rates_of([row[5:] for row in rows if not row[4]]), 0
    for pk, started_at, ended_at, rate, source, capacity, cloud, region, shape, *size, customer_id in rows:
        if not source:
            found = rates.rate(cloud, region, customer_id, *size, whole=shape == Shape.INSTANCE, capacity=capacity)
            rate, source = (found.per_hour, found.source) if found else (None, "")
        begun = hours.milliseconds(started_at)
        to = hours.milliseconds(metered_to.get(pk, started_at)) - begun
        lasted = max(hours.milliseconds(ended_at or now) - begun, to)
        total += money.cost_between(billed_rate(rate, source), to, lasted)
    return total


def _rates_of(unpriced: Sequence[Sequence[Any]]) -> Rates:
    """What holds now at the places of these, each read once for all customers."""
    rates, customers = Rates(), defaultdict[tuple[str, str], set[int]](set)
    for _, cloud, region, *_, customer_id in unpriced:
        customers[cloud, region].add(customer_id)
    for place, found in customers.items():
        rates.read(*place, found)
    return rates


def billed_rate(rate: Decimal | None, source: str) -> Decimal | None:
    """What is billed for an hour: an example is nobody's price."""
    return None if source == Source.EXAMPLE else rate


def _estimated(job: Job, so_far_nano: int) -> int | None:
    """What a job that has not ended may come to, if it takes as long as half of its like do at most."""
    past = history(job.customer_id, job.shape, job.classification, job.revision_id)
    if past is None:
        return None
    rate = Rates().rate(
        job.place.cloud,
        job.place.region,
        job.customer_id,
        job.vcpus_milli,
        job.memory_mib,
        whole=job.shape == Shape.INSTANCE,
        capacity=job.capacity,
    )
    per_hour = billed_rate(rate.per_hour, rate.source) if rate else None
    return max(so_far_nano, money.cost(per_hour, int(past.p50_seconds * 1000)))
