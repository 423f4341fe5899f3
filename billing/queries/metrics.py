"""What each customer used at a place between any two moments, to the millisecond, metered or not yet.

One statement, so that it sees one state of the database: what is being metered meanwhile is counted once. An execution
that goes on, or whose end the meter has not read of yet, is taken from its own row and not from records at all; every
other from its records. Sums and distinct jobs are made by the database: what comes back is a row for each customer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, Event, Follower
from billing import hours
from billing.models import UsageKind, UsageRecord
from billing.models.usage import ENDS_BY, METER
from billing.shares import share
from clusters.queries import cloud_regions, missing_settings
from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from jobs import states
from jobs.errors import ProviderNotConfigured
from jobs.models import Execution, Job, Place

_RECORDS: Final = UsageRecord._meta.db_table
_ACTIVE: Final = ", ".join(f"'{state}'" for state in states.EXECUTION_ACTIVE)
_THERE: Final = f"u.kind = '{UsageKind.EXECUTION.value}' AND u.cloud = %s AND u.region = %s AND o.id IS NULL"
_FROM: Final = f"{_RECORDS} u LEFT JOIN unread o ON o.id = u.source_id"
_HOUR: Final = hours.HOUR_MS
# Executions that the records do not say all of: those that go on, and those of jobs that moved since the meter looked.
_UNREAD: Final = f"""
bounds AS (SELECT CAST(%s AS bigint) AS since, CAST(%s AS bigint) AS until, CAST(%s AS bigint) AS now),
moved AS MATERIALIZED (
    SELECT subject_id FROM {Event._meta.db_table} WHERE kind = '{ENDS_BY}' AND position IS NULL
    UNION
    SELECT subject_id FROM {Event._meta.db_table} WHERE kind = '{ENDS_BY}'
        AND position > (SELECT position FROM {Follower._meta.db_table} WHERE name = '{METER}')
), unread AS MATERIALIZED (
    SELECT id, job_id, started_at, ended_at FROM {Execution._meta.db_table}
    WHERE place_id = %s AND status IN ({_ACTIVE}) AND started_at IS NOT NULL
    UNION
    SELECT id, job_id, started_at, ended_at FROM {Execution._meta.db_table}
    WHERE place_id = %s AND job_id IN (SELECT subject_id FROM moved) AND started_at IS NOT NULL
)
"""  # noqa: S608 - the names are ours
# No record goes over the full hour: those of hours that lie in the window altogether are added up as they are.
_WHOLE: Final = f"""
SELECT u.customer_id, u.root_id, u.run_ms, u.vcpu_ms, u.gib_ms FROM {_FROM}
WHERE {_THERE} AND u.begun_at >= %s AND u.begun_at < %s
"""  # noqa: S608
# A record and its corrections are what ran from its beginning on. How many vCPUs and how much memory it had is what
# gives just its sums when rounded down, so that a part of it comes to what the meter would have written of that part.
# Without the + 0 SQLite goes through all records in the order of another index, to have them grouped.
_EDGE: Final = f"""
SELECT customer_id, root_id, ms, ms * ((vcpu_ms * 1000 + run_ms - 1) / run_ms) / 1000,
    ms * ((gib_ms * 1024 + run_ms - 1) / run_ms) / 1024
FROM (
    SELECT customer_id, root_id, run_ms, vcpu_ms, gib_ms,
        {{least}}(begun + run_ms, (SELECT until FROM bounds)) - {{greatest}}(begun, (SELECT since FROM bounds)) AS ms
    FROM (
        SELECT max(u.customer_id) AS customer_id, max(u.root_id) AS root_id, {{begun}} AS begun,
            CAST(sum(u.run_ms) AS bigint) AS run_ms, CAST(sum(u.vcpu_ms) AS bigint) AS vcpu_ms,
            CAST(sum(u.gib_ms) AS bigint) AS gib_ms
        FROM {_FROM} WHERE {_THERE} AND u.begun_at >= %s AND u.begun_at < %s
        GROUP BY u.source_id + 0, u.begun_at HAVING sum(u.run_ms) > 0
    ) pieces
) parts WHERE ms > 0
"""  # noqa: S608
# Cut at full hours as the meter does it: up to the first, whole ones, and a rest.
_UNMETERED: Final = f"""
SELECT customer_id, root_id, first + rest,
    first * vcpus / 1000 + rest / {_HOUR} * ({_HOUR} * vcpus / 1000) + rest %% {_HOUR} * vcpus / 1000,
    first * mib / 1024 + rest / {_HOUR} * ({_HOUR} * mib / 1024) + rest %% {_HOUR} * mib / 1024
FROM (
    SELECT customer_id, root_id, vcpus, mib, {{least}}(ended, hour) - begun AS first,
        {{greatest}}(ended - hour, 0) AS rest
    FROM (
        SELECT customer_id, root_id, vcpus, mib, begun, ended, begun - begun %% {_HOUR} + {_HOUR} AS hour
        FROM (
            SELECT j.customer_id, coalesce(j.parent_id, j.id) AS root_id, CAST(j.vcpus_milli AS bigint) AS vcpus,
                CAST(j.memory_mib AS bigint) AS mib, {{greatest}}({{started}}, (SELECT since FROM bounds)) AS begun,
                {{least}}(coalesce({{ended}}, (SELECT now FROM bounds)), (SELECT until FROM bounds)) AS ended
            FROM unread o JOIN {Job._meta.db_table} j ON j.id = o.job_id
        ) ran WHERE ended > begun
    ) cut
) pieces
"""  # noqa: S608
_BY_CUSTOMER: Final = f"""
WITH {_UNREAD}, of_jobs AS (
    SELECT customer_id, root_id, sum(run_ms) AS run_ms, sum(vcpu_ms) AS vcpu_ms, sum(gib_ms) AS gib_ms
    FROM ({_WHOLE} UNION ALL {_UNMETERED}{{edges}}) used
    GROUP BY customer_id, root_id
)
SELECT coalesce(c.name, ''), coalesce(j.customer_id, 0), count(*), sum(j.run_ms), sum(j.vcpu_ms), sum(j.gib_ms)
FROM of_jobs j LEFT JOIN {Customer._meta.db_table} c ON c.id = j.customer_id
WHERE j.run_ms > 0 GROUP BY j.customer_id, c.name
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class CustomerUsage:
    """What a customer used, in milliseconds; `share`: its part of the whole, 0 to 1; `cost`: its part of the price."""

    customer: str
    jobs: int
    run_ms: int
    vcpu_ms: int
    gib_ms: int
    share: float
    cost: int | None


class _Row(NamedTuple):
    customer: str
    customer_id: int
    jobs: int
    run_ms: int
    vcpu_ms: int
    gib_ms: int


def usage_by_customer(
    *, cloud: str, region: str, since_ms: int, until_ms: int, price: int | None = None, now: datetime | None = None
) -> list[CustomerUsage]:
    """Jobs that ran at the place from `since_ms` to before `until_ms`, by customer in the order of their names.

    A MapReduce job is one job, its tasks are none. With a price, costs by vCPU-time that add up to it exactly; by the
    time of running when there are no vCPUs in all. Raises InvalidRequest for a region that there is not.
    """
    place = _place_of(cloud, region)
    if place is None:
        return []
    rows = sorted(_rows(place, since_ms, until_ms, now))
    weights = [row.vcpu_ms for row in rows]
    if not any(weights):
        weights = [row.run_ms for row in rows]
    whole = sum(weights)
    costs: Sequence[int | None] = [None] * len(rows) if price is None else share(price, weights)
    return [
        CustomerUsage(row.customer, row.jobs, row.run_ms, row.vcpu_ms, row.gib_ms, weight / whole, cost)
        for row, weight, cost in zip(rows, weights, costs, strict=True)
    ]


def _place_of(cloud: str, region: str) -> Place | None:
    """None where the settings name the region and nothing was ever to run there."""
    place = Place.objects.filter(cloud=cloud, region=region).first()
    if place is not None or (cloud, region) in (("local", settings.LOCAL_REGION), *cloud_regions()):
        return place
    if missing := missing_settings(cloud):
        raise ProviderNotConfigured(
            f"{cloud} is not configured here: set {', '.join(missing)}.", field="cloud_provider"
        )
    raise InvalidRequest(f"There is no region {region[:64]!r} of {cloud}.", field="region")


def _rows(place: Place, since_ms: int, until_ms: int, now: datetime | None) -> Iterator[_Row]:
    first, last = -(-since_ms // _HOUR) * _HOUR, until_ms // _HOUR * _HOUR
    cut = {at // _HOUR * _HOUR for at in (since_ms, until_ms) if at % _HOUR}
    spans = [(first, max(first, last)), *((at, at + _HOUR) for at in cut)]
    words = {
        "least": "least" if sets.is_postgresql() else "min",
        "greatest": "greatest" if sets.is_postgresql() else "max",
        "begun": _milliseconds("u.begun_at"),
        "started": _milliseconds("o.started_at"),
        "ended": _milliseconds("o.ended_at"),
    }
    edges = "".join([f" UNION ALL {_EDGE.format(**words)}"] * len(cut))
    bounds = [since_ms, until_ms, hours.milliseconds(now or timezone.now())]
    there = [each for span in spans for each in (place.cloud, place.region, *map(_moment, span))]
    rows = sets.run(_BY_CUSTOMER.format(edges=edges, **words), [*bounds, place.pk, place.pk, *there])
    for name, *numbers in rows:
        yield _Row(name, *map(int, numbers))


def _moment(ms: int) -> object:
    """As the database compares it."""
    moment: object = connection.ops.adapt_datetimefield_value(hours.moment_of(ms))
    return moment


def _milliseconds(column: str) -> str:
    """A moment in SQL as hours.milliseconds has it."""
    if sets.is_postgresql():
        return f"CAST(floor(extract(epoch FROM {column}) * 1000) AS bigint)"
    # SQLite keeps it as text, with six digits after the point or none.
    return f"(CAST(strftime('%%s', {column}) AS bigint) * 1000 + CAST(substr({column} || '.000', 21, 3) AS bigint))"
