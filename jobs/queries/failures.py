"""Clusters of failures: which there are, how many failures they have had, and of whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from accounts import access
from accounts.models import Customer, User
from controlplane.core import sets
from jobs import states
from jobs.errors import FailureClusterNotFound
from jobs.models import FailureCluster, FailureCount, Span
from jobtypes.models import Category, JobType
from jobtypes.queries import DOCUMENTS

MOST_COUNTED: Final = 10_000
LATELY: Final = timedelta(hours=24)
DAYS: Final = 30
SHOWN: Final = 20  # customers, job types
_WITH: Final = ("error", "named")


def visible_clusters(user: User) -> QuerySet[FailureCluster]:
    """All clusters, each with its errors, for staff. Raises Forbidden for everybody else: they are of all customers."""
    access.demand(user, "jobs", access.READ)
    return FailureCluster.objects.select_related(*_WITH, "named_by").defer("sample_log")


def find_cluster(user: User, cluster_id: int, action: str) -> FailureCluster:
    """A cluster by its id, if `user` may do `action` to it. Raises FailureClusterNotFound, Forbidden."""
    access.demand(user, "jobs", action)
    found = FailureCluster.objects.select_related(*_WITH, "named_by").filter(pk=cluster_id).first()
    if found is None:
        raise FailureClusterNotFound
    return found


# --- How many ------------------------------------------------------------------------------------

_FAILED: Final = ", ".join(f"'{status}'" for status in states.FAILED_STATES)
# As the partial index says it, and no further into it than it is to be counted.
_FAILED_NOW: Final = f"""
SELECT c.id, (SELECT count(*) FROM (
    SELECT 1 FROM jobs_job j
    WHERE j.failure_cluster_id = c.id AND j.failure_cluster_id IS NOT NULL AND j.status IN ({_FAILED}) LIMIT %s
) failed) FROM jobs_failurecluster c WHERE c.id {{among}}
"""  # noqa: S608


def failed_now(cluster_ids: Sequence[int], most: int = MOST_COUNTED) -> dict[int, int]:
    """How many jobs of each cluster are failed now; `most` + 1 where there are more than `most`. One statement."""
    rows = sets.run(_FAILED_NOW.format(among=sets.in_one()), [most + 1, sets.as_one(cluster_ids)])
    return {row[0]: int(row[1]) for row in rows}


def _lately(now: datetime) -> QuerySet[FailureCount]:
    """The counts of the last 24 full hours, and of the one that goes on."""
    return FailureCount.objects.filter(span=Span.HOUR, begun_at__gte=_hour(now) - LATELY)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def failed_lately(cluster_ids: Sequence[int]) -> dict[int, int]:
    """How many failures of each cluster there were in the last 24 hours, and in the hour that goes on."""
    rows = _lately(timezone.now()).filter(sets.among("cluster", list(cluster_ids), FailureCount))
    return dict(rows.values_list("cluster_id").annotate(Sum("number")))


@dataclass(frozen=True, slots=True)
class ClusterNow:
    """A cluster with how many failures it has had in the last 24 hours."""

    id: int
    title: str
    error: str  # that its failures have, by name; empty: none
    category: str
    lately: int
    total: int
    first_seen: datetime
    last_seen: datetime


def failure_clusters_now(limit: int) -> list[ClusterNow]:
    """The clusters with most failures in the last 24 hours, and in the hour that goes on. Two statements."""
    rows = _lately(timezone.now()).values_list("cluster_id").annotate(n=Sum("number")).order_by("-n", "cluster_id")
    numbers = dict(rows[:limit])
    clusters = FailureCluster.objects.select_related(*_WITH).defer("sample_log").in_bulk(list(numbers))
    return [_now(clusters[cluster_id], number) for cluster_id, number in numbers.items() if cluster_id in clusters]


def _now(cluster: FailureCluster, lately: int) -> ClusterNow:
    error = cluster.means
    name, category = (error.name, error.category) if error else ("", "")
    seen = (cluster.first_seen, cluster.last_seen)
    return ClusterNow(cluster.pk, cluster.title, name, category, lately, cluster.total, *seen)


# --- Of whom, and when ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Breadth:
    """Of how many customers and job types there were failures in the last 30 days."""

    customers: int
    job_types: int


def _by_day() -> QuerySet[FailureCount]:
    begun = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    return FailureCount.objects.filter(span=Span.DAY, begun_at__gte=begun)


def breadths(cluster_ids: Sequence[int]) -> dict[int, Breadth]:
    """Of each cluster. One statement."""
    rows = _by_day().filter(sets.among("cluster", list(cluster_ids), FailureCount))
    found = rows.values_list("cluster_id").annotate(
        Count("customer_id", distinct=True), Count("job_type_id", distinct=True)
    )
    return {cluster_id: Breadth(customers, types) for cluster_id, customers, types in found}


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Failures of the last 30 days: by day, without gaps, and of whom most, with their numbers."""

    days: Sequence[tuple[date, int]]
    customers: Sequence[tuple[Customer, int]]
    job_types: Sequence[tuple[JobType | None, int]]  # None: of no job type


def breakdown(cluster_id: int) -> Breakdown:
    """Of a cluster. Five statements."""
    rows = _by_day().filter(cluster=cluster_id)
    numbers = {at.date(): number for at, number in rows.values_list("begun_at").annotate(Sum("number"))}
    today = timezone.now().date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    customers = _most(rows, "customer_id")
    types = _most(rows, "job_type_id")
    customer_rows: Mapping[int, Customer] = Customer.objects.in_bulk(list(customers))
    type_rows: Mapping[int, JobType] = JobType.objects.defer(*DOCUMENTS).in_bulk(list(types))
    return Breakdown(
        days=[(day, numbers.get(day, 0)) for day in days],
        customers=[(customer_rows[i], number) for i, number in customers.items() if i in customer_rows],
        job_types=[(type_rows.get(i), number) for i, number in types.items() if i == 0 or i in type_rows],
    )


def _most(rows: QuerySet[FailureCount], by: str) -> dict[int, int]:
    found: Any = rows.values_list(by).annotate(n=Sum("number")).order_by("-n", by)
    return dict(found[:SHOWN])


# --- Who may be tried again ----------------------------------------------------------------------

# An error of the data comes again, however often it is tried.
WORTH_A_TRY: Final = tuple(category for category in Category.values if category != Category.DATA)


def requeue_selection(cluster_id: int) -> dict[str, list[str]]:
    """What bulk work is to select to take a cluster's failed jobs back, but for those with an error of the data."""
    return {
        "failure_cluster": [str(cluster_id)],
        "state": [states.FAILED],
        "error_category": list(WORTH_A_TRY),
    }
