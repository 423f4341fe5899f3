"""What each customer used between two moments: hand-computed, and held to a count of every execution."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import hours, services
from billing.models import UsageRecord
from billing.queries import CustomerUsage, usage_by_customer
from controlplane.core.errors import InvalidRequest
from jobs.errors import ProviderNotConfigured
from jobs.models import Execution, Job, Place, Shape
from tests.billing.scene import MONTH, end, follow_from_here, ms, ran, running
from tests.factories import Stage, make_admin, make_job
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
NOON: Final = MONTH + timedelta(hours=12)
WIDE: Final = (MONTH - timedelta(days=40), MONTH + timedelta(days=40))


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


def used(since: datetime, until: datetime, now: datetime | None = None, **more: Any) -> list[CustomerUsage]:
    window = {"since_ms": hours.milliseconds(since), "until_ms": hours.milliseconds(until)}
    return usage_by_customer(**{"cloud": "local", "region": "local", **window, "now": now or WIDE[1], **more})


def sums(found: list[CustomerUsage]) -> list[tuple[str, int, int, int, int]]:
    return [(each.customer, each.jobs, each.run_ms, each.vcpu_ms, each.gib_ms) for each in found]


def costs(price: int) -> list[int | None]:
    return [each.cost for each in used(*WIDE, price=price)]


# --- The window ----------------------------------------------------------------------------------


@pytest.mark.parametrize("metered", [True, False])
@pytest.mark.parametrize(
    ("since", "until", "minutes"),
    [
        (-60, 300, 200), (0, 200, 200), (0, 60, 50), (60, 120, 60), (60, 180, 120), (15, 25, 10), (70, 80, 10),
        (30, 90, 60), (30, 190, 160), (0, 11, 1), (199, 300, 11), (-60, 10, 0), (210, 300, 0), (59, 61, 2),
    ],
)  # fmt: skip
def test_what_ran_is_clipped_to_the_window(since: int, until: int, minutes: int, metered: bool) -> None:
    """From ten past noon on, for 200 minutes; of a window that ends at 200 minutes the last ten are missing."""
    ran(NOON + timedelta(minutes=10), timedelta(minutes=200), vcpus_milli=2000, memory_mib=512)
    if metered:
        services.meter()
    minutes = 190 if (since, until) == (0, 200) else minutes
    found = used(NOON + timedelta(minutes=since), NOON + timedelta(minutes=until))
    lasted = ms(minutes=minutes)
    assert sums(found) == ([("acme", 1, lasted, 2 * lasted, lasted // 2)] if minutes else [])


@pytest.mark.parametrize("metered", [True, False])
def test_a_millisecond_is_counted_and_less_is_not(metered: bool) -> None:
    ran(NOON + timedelta(microseconds=4_900), timedelta(milliseconds=3), vcpus_milli=1000)
    if metered:
        services.meter()
    for since, until, lasted in ((4, 7, 3), (0, 5, 1), (5, 6, 1), (6, 99, 1), (7, 99, 0), (0, 4, 0)):
        found = used(NOON + timedelta(milliseconds=since), NOON + timedelta(milliseconds=until))
        assert [each.run_ms for each in found] == ([lasted] if lasted else []), (since, until)


@pytest.mark.parametrize("metered", [True, False])
def test_over_the_end_of_a_month_each_month_has_its_own(metered: bool) -> None:
    ran(MONTH - timedelta(minutes=90), timedelta(hours=3), vcpus_milli=1000)
    if metered:
        services.meter()
    february = datetime(2026, 2, 1, tzinfo=UTC)
    assert [each.run_ms for each in used(february, MONTH)] == [ms(minutes=90)]
    assert [each.run_ms for each in used(MONTH, MONTH + timedelta(days=31))] == [ms(minutes=90)]
    assert [each.run_ms for each in used(MONTH - timedelta(minutes=1), MONTH + timedelta(minutes=2))] == [ms(minutes=3)]


def test_windows_side_by_side_come_to_the_whole() -> None:
    ran(NOON + timedelta(seconds=17), timedelta(hours=5, milliseconds=333), vcpus_milli=3000, memory_mib=3072)
    services.meter()
    ends = [NOON + timedelta(seconds=each) for each in (0, 100, 3600, 5000.123, 5000.124, 9000, 99_999)]
    parts = [row for since, until in itertools.pairwise(ends) for row in used(since, until)]
    [whole] = used(ends[0], ends[-1])
    for name in ("run_ms", "vcpu_ms", "gib_ms"):
        assert sum(getattr(each, name) for each in parts) == getattr(whole, name)


@pytest.mark.parametrize("year", [1, 1900, 9998])
def test_a_window_may_reach_to_the_ends_of_the_calendar(year: int) -> None:
    ran(NOON, timedelta(minutes=1))
    at = datetime(year, 1, 1, 0, 30, tzinfo=UTC)
    first, last = sorted((at, datetime(2026, 12, 31, tzinfo=UTC)))
    assert len(used(first, last)) == (1 if year < 2026 else 0)


# --- What is metered, and what is not yet --------------------------------------------------------


def test_what_runs_is_counted_up_to_now_however_far_it_is_metered() -> None:
    job = running(NOON - timedelta(minutes=20), vcpus_milli=1000)
    now = NOON + timedelta(hours=2, minutes=30)
    for _ in range(2):
        assert [each.run_ms for each in used(*WIDE, now=now)] == [ms(hours=2, minutes=50)]
        assert [each.run_ms for each in used(NOON, NOON + timedelta(minutes=150), now)] == [ms(hours=2, minutes=30)]
        assert [each.run_ms for each in used(NOON, NOON + timedelta(hours=1), now)] == [ms(hours=1)]
        assert used(now, WIDE[1], now) == []
        services.checkpoint(now)
    end(job, now + timedelta(minutes=5))
    for _ in range(2):
        assert [each.run_ms for each in used(*WIDE)] == [ms(hours=2, minutes=55)]
        services.meter()
    assert UsageRecord.objects.count() == 4


def test_what_has_not_begun_or_never_ran_is_not_there() -> None:
    make_job()
    stage, job = Stage(), make_job()
    stage.start(job)
    Execution.objects.update(started_at=None)
    assert used(*WIDE) == []
    running(NOON + timedelta(hours=1))
    assert used(*WIDE, now=NOON) == []


def test_of_what_was_metered_too_far_the_corrections_count() -> None:
    """A clock was put back: the hours that were metered are taken back, by records of their own."""
    job = running(NOON, vcpus_milli=1000, memory_mib=1024)
    services.checkpoint(NOON + timedelta(hours=3, minutes=10))
    end(job, NOON + timedelta(minutes=30))
    for _ in range(2):
        assert sums(used(*WIDE)) == [("acme", 1, *[ms(minutes=30)] * 3)]
        parts = [used(NOON + timedelta(minutes=start), NOON + timedelta(hours=3)) for start in (10, 40, 100)]
        assert [[each.run_ms for each in part] for part in parts] == [[ms(minutes=20)], [], []]
        services.meter()
    assert UsageRecord.objects.filter(number=1).count() == 3


def test_what_ran_before_there_was_a_meter_is_on_no_bill_and_not_here() -> None:
    ran(NOON, timedelta(minutes=1))
    follow_from_here()
    assert used(*WIDE) == []


# --- Jobs ----------------------------------------------------------------------------------------


def test_a_job_is_one_however_many_tries_and_hours_it_took() -> None:
    job = ran(NOON, timedelta(hours=3), vcpus_milli=1000)
    again = Execution.objects.get()
    Execution.objects.create(
        job=job, number=2, place=again.place, status=again.status, started_at=NOON + timedelta(hours=4),
        ended_at=NOON + timedelta(hours=5),
    )  # fmt: skip
    for _ in range(2):
        assert [(each.jobs, each.run_ms) for each in used(*WIDE)] == [(1, ms(hours=4))]
        services.meter()


def test_a_mapreduce_job_is_one_and_its_tasks_are_none() -> None:
    whole = make_job()
    Job.objects.filter(pk=whole.pk).update(shape=Shape.MAPREDUCE)
    tasks = [ran(NOON, timedelta(minutes=each)) for each in (1, 2)]
    for part, task in enumerate(tasks):
        Job.objects.filter(pk=task.pk).update(parent=whole, shape=Shape.MAP, part=part)
    for _ in range(2):
        assert [(each.jobs, each.run_ms) for each in used(*WIDE)] == [(1, ms(minutes=3))]
        services.meter()


def test_a_job_that_did_not_run_in_the_window_is_not_counted() -> None:
    ran(NOON, timedelta(minutes=1))
    ran(NOON + timedelta(minutes=5), timedelta(minutes=1))
    services.meter()
    assert [each.jobs for each in used(NOON, NOON + timedelta(minutes=2))] == [1]
    assert [each.jobs for each in used(NOON, NOON + timedelta(minutes=6))] == [2]


def test_customers_are_told_apart_in_the_order_of_their_names() -> None:
    for name, minutes in (("b", 1), ("a", 2), ("c", 3), ("a", 4)):
        ran(NOON, timedelta(minutes=minutes), customer=name, vcpus_milli=1000)
    running(NOON, customer="b", vcpus_milli=1000)
    services.meter()
    found = used(*WIDE, now=NOON + timedelta(minutes=9))
    assert [(each.customer, each.jobs, each.run_ms) for each in found] == [
        ("a", 2, ms(minutes=6)), ("b", 2, ms(minutes=10)), ("c", 1, ms(minutes=3)),
    ]  # fmt: skip
    assert [each.share for each in found] == [6 / 19, 10 / 19, 3 / 19]


def test_another_region_is_another_report() -> None:
    other = Place.objects.create(cloud="local", region="other")
    ran(NOON, timedelta(minutes=2))
    running(NOON)
    Execution.objects.update(place=other)
    ran(NOON, timedelta(minutes=1))
    now = NOON + timedelta(minutes=3)
    for _ in range(2):
        assert [each.run_ms for each in used(*WIDE, now=now)] == [ms(minutes=1)]
        assert [each.run_ms for each in used(*WIDE, now=now, region="other")] == [ms(minutes=5)]
        services.meter()


def test_staffs_corrections_of_amounts_are_no_use_of_anything() -> None:
    job = ran(NOON, timedelta(minutes=1))
    services.meter()
    services.correct(actor=make_admin().user, customer=job.customer, amount_nano=-5, note="a present")
    assert [each.run_ms for each in used(WIDE[0], datetime(2100, 1, 1, tzinfo=UTC))] == [ms(minutes=1)]


# --- Places --------------------------------------------------------------------------------------


def test_a_region_that_the_settings_name_has_used_nothing_yet() -> None:
    Place.objects.filter(region="local").delete()
    assert used(*WIDE) == []
    assert not Place.objects.exists()


@pytest.mark.parametrize(
    ("cloud", "region", "error", "field"),
    [
        ("local", "x", InvalidRequest, "region"), ("local", "x" * 5000, InvalidRequest, "region"),
        ("aws", "local", ProviderNotConfigured, "cloud_provider"),
        ("azure", "west", ProviderNotConfigured, "cloud_provider"),
    ],
)  # fmt: skip
def test_a_region_that_there_is_not_is_refused(
    cloud: str, region: str, error: type[InvalidRequest], field: str
) -> None:
    with pytest.raises(error) as refused:
        used(*WIDE, cloud=cloud, region=region)
    assert (type(refused.value), refused.value.field) == (error, field)


def test_what_ran_at_a_cloud_that_is_not_used_any_more_is_told() -> None:
    ran(NOON, timedelta(minutes=1))
    services.meter()
    Place.objects.create(cloud="aws", region="north-1")
    UsageRecord.objects.update(cloud="aws", region="north-1")
    assert [each.run_ms for each in used(*WIDE, cloud="aws", region="north-1")] == [ms(minutes=1)]


# --- Costs ---------------------------------------------------------------------------------------


def test_a_price_is_shared_out_by_vcpu_time() -> None:
    ran(NOON, timedelta(minutes=10), customer="a", vcpus_milli=3000)
    ran(NOON, timedelta(minutes=10), customer="b", vcpus_milli=1000)
    assert costs(1000) == [750, 250]
    assert costs(0) == [0, 0]
    assert [each.cost for each in used(*WIDE)] == [None, None]


def test_what_rounding_leaves_goes_to_the_largest_remainders_and_of_equal_ones_to_the_first() -> None:
    for name in ("c", "a", "b"):
        ran(NOON, timedelta(minutes=10), customer=name, vcpus_milli=1000)
    assert costs(100) == [34, 33, 33]
    assert costs(101) == [34, 34, 33]
    assert costs(1) == [1, 0, 0]
    ran(NOON, timedelta(minutes=10), customer="b", vcpus_milli=1000)
    assert costs(10) == [3, 5, 2]  # 2.5, 5, 2.5
    assert costs(2**63 - 1) == [2**61, 2**62 - 1, 2**61]  # remainders 3/4, 1/2, 3/4


def test_without_vcpus_it_is_shared_out_by_the_time_of_running() -> None:
    ran(NOON, timedelta(minutes=30), customer="a")
    ran(NOON, timedelta(minutes=10), customer="b")
    Job.objects.update(vcpus_milli=0)
    assert costs(100) == [75, 25]
    Job.objects.filter(customer__name="b").update(vcpus_milli=500)
    assert costs(100) == [0, 100]


def test_where_nothing_ran_nobody_pays() -> None:
    assert used(*WIDE, price=100) == []


# --- Any window of anything ----------------------------------------------------------------------

SECOND: Final = 1000
RUNS: Final = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 6 * hours.HOUR_MS // SECOND).map(lambda each: each * SECOND),
        st.one_of(st.none(), st.integers(2, 4 * 3600).map(lambda each: each * SECOND)),
        st.sampled_from([500, 1000, 1333, 4000]),
        st.sampled_from([100, 512, 1024, 3000]),
    ),
    max_size=8,
)
WINDOWS: Final = st.lists(
    st.tuples(st.integers(-hours.HOUR_MS, 9 * hours.HOUR_MS), st.integers(1, 9 * hours.HOUR_MS)), min_size=1, max_size=4
)


@given(RUNS, WINDOWS, st.sampled_from(["nothing", "meter", "checkpoint", "both"]), st.integers(0, 2**63 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_what_counting_every_execution_comes_to_and_costs_add_up(
    runs: list[tuple[str, int, int | None, int, int]], windows: list[tuple[int, int]], metered: str, price: int
) -> None:
    now = NOON + timedelta(hours=7, minutes=17)
    with transaction.atomic():
        for customer, begun, lasted, vcpus, mib in runs:
            job = running(NOON + timedelta(milliseconds=begun), customer=customer, vcpus_milli=vcpus, memory_mib=mib)
            if lasted is not None:
                end(job, NOON + timedelta(milliseconds=begun + lasted))
        if metered in ("checkpoint", "both"):
            services.checkpoint(now)
        if metered in ("meter", "both"):
            services.meter()
        for start, length in windows:
            since, until = NOON + timedelta(milliseconds=start), NOON + timedelta(milliseconds=start + length)
            found = used(since, until, now, price=price)
            assert sums(found) == naive(since, until, now)
            assert sum(each.cost or 0 for each in found) == (price if found else 0)
            assert not found or sum(each.share for each in found) == pytest.approx(1)
        transaction.set_rollback(True)


def naive(since: datetime, until: datetime, now: datetime) -> list[tuple[str, int, int, int, int]]:
    """The same, from every execution one after the other."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    jobs = defaultdict[str, set[int]](set)
    for each in Execution.objects.filter(started_at__isnull=False).select_related("job__customer"):
        assert each.started_at is not None
        begun, ended = max(each.started_at, since), min(each.ended_at or now, until)
        for start, stop in hours.pieces(hours.milliseconds(begun), hours.milliseconds(ended)):
            lasted, job = stop - start, each.job
            added = lasted, lasted * job.vcpus_milli // 1000, lasted * job.memory_mib // 1024
            name = job.customer.name
            found[name] = [old + new for old, new in zip(found[name], added, strict=True)]
            jobs[name].add(job.parent_id or job.pk)
    return [(name, len(jobs[name]), *found[name]) for name in sorted(found)]  # type: ignore[misc]


# --- Cost of asking ------------------------------------------------------------------------------


def test_it_takes_as_many_statements_for_any_number() -> None:
    numbers = []
    for count in (1, 5):
        for _ in range(count):
            ran(NOON, timedelta(hours=2), customer=f"customer {count}")
        services.meter()
        running(NOON)
        with counted() as found:
            used(*WIDE, price=5)
        numbers.append(len(found))
    assert numbers == [2, 2]
