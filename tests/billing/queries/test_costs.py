"""What was spent: grouped, of one thing, and for whom."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import money, queries, services
from billing.models import UsageKind, UsageRecord
from clusters.models import Offer, Price, Source
from controlplane.core.errors import InvalidRequest
from tests.billing.scene import MONTH, end, follow_from_here, price_here, ran, running
from tests.billing.services.test_bills import entry, put
from tests.factories import make_customer_user, make_job, make_monitor
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
NOON = MONTH + timedelta(hours=12)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


def usd(amount: str) -> int:
    return money.nano(Decimal(amount))


def test_costs_are_grouped_by_what_is_asked() -> None:
    price_here("1")
    for customer, day, hours in (("ann", 0, 1), ("ann", 1, 2), ("bob", 1, 4)):
        ran(NOON + timedelta(days=day), timedelta(hours=hours), customer=customer, vcpus_milli=1000)
    services.meter()
    days = queries.visible_days(make_monitor().user)
    assert [(dict(each.by), each.sums["cost_nano"]) for each in queries.costs_by(days, ["customer"])] == [
        ({"customer": "ann"}, usd("3")),
        ({"customer": "bob"}, usd("4")),
    ]
    by_day = queries.costs_by(days, ["day", "cloud"])
    assert [(each.by["day"].day, each.by["cloud"], each.sums["cost_nano"]) for each in by_day] == [
        (1, "local", usd("1")),
        (2, "local", usd("6")),
    ]
    [whole] = queries.costs_by(days, [])
    assert (whole.by, whole.sums["cost_nano"], whole.sums["records"]) == ({}, usd("7"), 7)
    assert queries.costs_by(days.none(), [])[0].sums["cost_nano"] == 0


@pytest.mark.parametrize("group", queries.GROUPS)
def test_every_group_adds_up(group: str) -> None:
    price_here("1")
    for hours in (1, 3):
        ran(NOON, timedelta(hours=hours), vcpus_milli=1000)
    services.meter()
    found = queries.costs_by(queries.visible_days(make_monitor().user), [group])
    assert sum(each.sums["cost_nano"] for each in found) == usd("4")


def test_too_many_groups_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.queries.costs.MOST_GROUPS", 1)
    for n in range(2):
        ran(NOON, timedelta(hours=1), customer=f"c{n}")
    services.meter()
    with pytest.raises(InvalidRequest) as refused:
        queries.costs_by(queries.visible_days(make_monitor().user), ["customer"])
    assert refused.value.field == "group_by"


def test_jobs_are_the_customers_and_containers_their_owners() -> None:
    owner, colleague, stranger = (make_customer_user(customer=name) for name in ("acme", "acme", "other"))
    customer = owner.user.customer_id
    assert customer is not None
    put(
        entry(customer),
        entry(customer, kind=UsageKind.PEERS, owner_id=owner.user.pk, cluster_id=1),
        entry(customer, kind=UsageKind.CORRECTION),
    )
    for person, count in ((owner, 3), (colleague, 2), (stranger, 0), (make_monitor(), 3)):
        assert queries.visible_records(person.user).count() == count
        assert queries.visible_days(person.user).count() == count


def test_a_job_costs_what_is_metered_and_what_runs() -> None:
    price_here("1")
    job = running(NOON, vcpus_milli=1000)
    services.checkpoint(NOON + timedelta(hours=2, minutes=10))
    cost = queries.job_cost(job, NOON + timedelta(hours=2, minutes=30))
    assert (cost.metered_nano, cost.running_nano, cost.estimated_nano) == (usd("2"), usd("0.5"), None)
    end(job, NOON + timedelta(hours=3))
    job.refresh_from_db()
    before = queries.job_cost(job)
    services.meter()
    after = queries.job_cost(job)
    assert before.so_far_nano == after.metered_nano == usd("3")
    assert after.estimated_nano == usd("3")


def test_it_is_estimated_by_what_its_like_took() -> None:
    price_here("1")
    owner = make_customer_user()
    ran(NOON, timedelta(hours=2), owner=owner, vcpus_milli=1000)
    job = make_job(owner, vcpus_milli=1000)
    assert queries.job_cost(job).estimated_nano == usd("2")
    assert queries.job_cost(job).so_far_nano == 0


def test_nobody_is_billed_by_an_example() -> None:
    price_here("1")
    Price.objects.filter(offer__in=Offer.objects.filter(cloud="local")).update(source=Source.EXAMPLE)
    job = running(NOON, vcpus_milli=1000)
    assert queries.job_cost(job, NOON + timedelta(hours=1)).so_far_nano == 0
    end(job, NOON + timedelta(hours=1))
    services.meter()
    record = UsageRecord.objects.get()
    assert (record.cost_nano, record.rate, record.offer) == (0, None, "vcpu + gb")


def test_costs_take_as_many_statements_for_any_number() -> None:
    took = []
    for count in (1, 4):
        for n in range(count):
            ran(NOON, timedelta(hours=1), customer=f"c{count}{n}")
        services.meter()
        days = queries.visible_days(make_monitor().user)
        with counted() as found:
            queries.costs_by(days, ["customer", "day", "job_type", "cluster"])
        took.append(len(found))
    assert took[0] == took[1] <= 4
