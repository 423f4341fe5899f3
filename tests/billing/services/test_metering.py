"""Each second of what runs is metered once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import ParkedEvent
from accounts.services import try_again
from billing import hours, money, services
from billing.models import UsageKind, UsageRecord
from billing.models.usage import METER
from billing.services.ledger import locked
from billing.services.metering import _meter, _read
from clusters.models import Source
from clusters.providers.base import End
from jobs import states
from jobs.models import Execution, Job
from jobs.services import move
from tests.billing.scene import MONTH, end, follow_from_here, ms, price_here, ran, running, totals
from tests.factories import Stage, make_customer_user, make_job, make_job_in
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
NOON = MONTH + timedelta(hours=12)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


def test_what_ended_is_a_record_of_what_it_used_and_cost() -> None:
    price_here("0.36", "0.018")
    job = ran(NOON, timedelta(minutes=10), vcpus_milli=2000, memory_mib=512)
    assert services.meter() > 0
    record = UsageRecord.objects.get()
    execution = Execution.objects.get()
    assert (record.kind, record.source_id, record.job_id, record.root_id) == (
        UsageKind.EXECUTION,
        execution.pk,
        job.pk,
        job.pk,
    )
    assert (record.customer_id, record.owner_id, record.shape, record.cloud) == (
        job.customer_id,
        job.owner_id,
        "container",
        "local",
    )
    assert (record.run_ms, record.vcpu_ms, record.gib_ms) == (ms(minutes=10), ms(minutes=20), ms(minutes=5))
    assert record.cost_nano == 121_500_000  # (2 × 0.36 + 0.5 × 0.018) / 6
    assert (record.bill_month, record.number, record.offer) == (MONTH.date(), 0, "vcpu + gb")
    totals()


def test_nothing_is_metered_twice_however_often_it_is_asked() -> None:
    ran(NOON, timedelta(minutes=10))
    services.meter()
    before = totals()
    services.meter()
    services.checkpoint(NOON + timedelta(days=1))
    with locked():
        _meter(_read(Execution.objects.all()))
    assert totals() == before
    assert UsageRecord.objects.count() == 1


def test_what_goes_on_is_metered_by_full_hours_and_to_its_end_after_it() -> None:
    price_here("0.5")
    job = running(NOON - timedelta(minutes=20), vcpus_milli=1000)
    assert services.checkpoint(NOON + timedelta(hours=2, minutes=30)) == 3
    assert totals()["run_ms"] == ms(hours=2, minutes=20)
    assert services.checkpoint(NOON + timedelta(hours=2, minutes=30)) == 0
    end(job, NOON + timedelta(hours=2, minutes=40))
    services.meter()
    assert totals()["run_ms"] == ms(hours=3)
    assert totals()["cost_nano"] == 1_500_000_000
    assert all(hours.hour_of(row.begun_at) <= row.begun_at for row in UsageRecord.objects.all())


def test_a_full_hour_waits_until_it_has_settled() -> None:
    running(NOON)
    assert services.checkpoint(NOON + timedelta(hours=1, minutes=1)) == 0
    assert services.checkpoint(NOON + timedelta(hours=1, minutes=3)) == 1


def test_over_the_end_of_a_month_each_has_its_own() -> None:
    began = MONTH - timedelta(minutes=15)
    ran(began, timedelta(minutes=45))
    services.meter()
    assert totals(bill_month=(MONTH - timedelta(days=1)).date().replace(day=1))["run_ms"] == ms(minutes=15)
    assert totals(bill_month=MONTH.date())["run_ms"] == ms(minutes=30)


def test_a_clock_put_back_is_made_good_by_another_record() -> None:
    price_here("1")
    job = running(NOON, vcpus_milli=1000)
    services.checkpoint(NOON + timedelta(hours=3, minutes=10))
    end(job, NOON + timedelta(minutes=30))
    services.meter()
    assert totals() == {
        "run_ms": ms(minutes=30),
        "vcpu_ms": ms(minutes=30),
        "gib_ms": ms(minutes=30) * job.memory_mib // 1024,
        "peer_ms": 0,
        "free_ms": 0,
        "cost_nano": 500_000_000,
    }
    assert UsageRecord.objects.filter(run_ms__lt=0).count() == 3
    assert UsageRecord.objects.filter(number=0).count() == 3


def test_one_that_ended_before_it_began_has_used_nothing() -> None:
    job = running(NOON)
    services.checkpoint(NOON + timedelta(hours=2))
    end(job, NOON - timedelta(minutes=1))
    services.meter()
    assert totals()["run_ms"] == 0
    assert totals()["cost_nano"] == 0


def test_what_never_ran_uses_nothing() -> None:
    for state in (states.REJECTED, states.CANCELED):
        make_job_in(state)
    services.meter()
    assert UsageRecord.objects.count() == 0


def test_each_try_is_metered() -> None:
    stage, job = Stage(), make_job(max_tries=3)
    for _ in range(2):
        stage.start(job)
        stage.end(job, exit_code=None, end=End.LOST)
        assert move({job.pk: {"due_at": None}}, "QUEUED", fields=("due_at",))
    services.meter()
    tries = list(Execution.objects.all())
    assert len(tries) == 2
    ran_ms = [hours.milliseconds(each.ended_at) - hours.milliseconds(each.started_at) for each in tries]  # type: ignore[arg-type]
    assert totals()["run_ms"] == sum(ran_ms)
    assert UsageRecord.objects.values("source_id").distinct().count() == sum(1 for each in ran_ms if each)


def test_what_a_closed_month_lacks_goes_onto_the_next_bill() -> None:
    ran(MONTH - timedelta(days=2), timedelta(minutes=5))
    services.meter()
    services.close_month((MONTH - timedelta(days=1)).date(), now=MONTH + timedelta(days=1))
    ran(MONTH - timedelta(hours=2), timedelta(minutes=10))
    services.meter()
    assert totals(bill_month=MONTH.date())["run_ms"] == ms(minutes=10)
    assert UsageRecord.objects.filter(begun_at__lt=MONTH).count() == 2


def test_it_costs_the_same_for_any_number() -> None:
    person = make_customer_user()
    costs = []
    for count in (1, 6):
        for _ in range(count):
            ran(NOON, timedelta(minutes=1), owner=person)
        with counted() as found:
            services.meter()
        costs.append(len(found))
    assert costs[0] == costs[1]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["start", "end", "checkpoint", "meter", "again", "step"]), st.integers(1, 9000)),
    max_size=25,
)


@given(CHANGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sum_of_records_is_the_time_that_ran(changes: list[tuple[str, int]]) -> None:
    """Whatever starts, ends, is metered twice, and wherever the clock goes."""
    with transaction.atomic():
        _run(changes)
        transaction.set_rollback(True)


def _run(changes: list[tuple[str, int]]) -> None:
    now, alive = NOON, list[tuple[Job, datetime]]()
    price_here("0.7")
    done: list[tuple[Job, datetime, datetime]] = []
    for what, seconds in changes:
        now += timedelta(seconds=seconds)
        if what == "start":
            alive.append((running(now, vcpus_milli=1000), now))
        elif what == "end" and alive:
            job, began = alive.pop(seconds % len(alive))
            end(job, now)
            done.append((job, began, now))
        elif what == "checkpoint":
            services.checkpoint(now)
        elif what in ("meter", "again"):
            services.meter()
        elif what == "step":
            now -= timedelta(seconds=2 * seconds)
    for job, began in alive:
        end(job, now)
        done.append((job, began, now))
    services.meter()
    lasted = [max(0, hours.milliseconds(ended) - hours.milliseconds(began)) for _, began, ended in done]
    assert totals()["run_ms"] == sum(lasted)
    for (job, _, _), ran_ms in zip(done, lasted, strict=True):
        assert totals(job_id=job.pk)["run_ms"] == ran_ms
        assert totals(job_id=job.pk)["cost_nano"] == money.cost(Decimal("0.7"), ran_ms)


def test_what_the_meter_left_behind_is_metered_when_it_is_mended_and_tried_again() -> None:
    price_here("1")
    bad, good = (ran(NOON, timedelta(hours=1), vcpus_milli=1000) for _ in range(2))
    executions = Execution.objects.filter(job=bad)
    # More than fits into a record.
    executions.update(price_rate=Decimal(9_999_999_999), price_offer="vcpu", price_source=Source.STAFF)
    for _ in range(20):
        services.meter()
    parked = ParkedEvent.objects.get()
    assert (parked.follower, UsageRecord.objects.get().job_id) == (METER, good.pk)
    executions.update(price_rate=Decimal(2))
    for _ in range(2):
        try_again(follower=METER, actor=None)
        services.meter()
        assert list(UsageRecord.objects.order_by("job_id").values_list("job_id", "cost_nano")) == [
            (bad.pk, 2 * 10**9),
            (good.pk, 10**9),
        ]
    assert not ParkedEvent.objects.exists()
    # What is tried again although it is metered already changes nothing.
    ParkedEvent.objects.create(follower=METER, position=parked.position, kind=parked.kind, error="")
    try_again(follower=METER, actor=None)
    services.meter()
    assert (totals()["cost_nano"], ParkedEvent.objects.count()) == (3 * 10**9, 0)
