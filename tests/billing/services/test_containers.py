"""Containers are metered while they are up, peers by what containers count, and what is free costs nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.following import follow
from accounts.models import Event, Follower, Standing
from billing import hours, money, services, tasks
from billing.models import FreeTierMonth, UsageKind, UsageRecord
from billing.services.containers import FOLLOWER
from clusters.errors import FreeTierUsedUp
from clusters.models import Container, PeerTime
from clusters.services import set_fleet_price
from clusters.services.fleet_moves import move
from clusters.states import CREATING, PENDING, RECONFIGURING, RUNNING, STOPPED, STOPPING, UNHEALTHY
from tests.billing.scene import MONTH, follow_from_here, ms, totals
from tests.clusters.offers import BEGUN
from tests.clusters.stage import Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, settle

pytestmark = pytest.mark.django_db
NOON = MONTH + timedelta(hours=12)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()
    Follower.objects.get_or_create(name=FOLLOWER)
    while follow(FOLLOWER, {"nothing"}, lambda events: None):
        pass


def running(began: datetime = NOON, **more: str) -> Container:
    """A container that runs since then."""
    container = make_container(make_cluster(make_customer_user().user, **more))
    settle(keeper_of(Stage()))
    Event.objects.filter(kind="container.moved", after__status=RUNNING).update(at=began)
    container.refresh_from_db()
    assert container.status == RUNNING
    return container


def moved(container: Container, to: str, at: datetime) -> None:
    last = Event.objects.latest("pk").pk
    assert move({container.pk: {}}, to) == [container.pk]
    Event.objects.filter(pk__gt=last).update(at=at)


def peers(container: Container, at: datetime, **lasted: float) -> None:
    """So much more peers' time in the hour of `at`."""
    row, _ = PeerTime.objects.get_or_create(container=container, hour=hours.hour_of(at), defaults={"milliseconds": 0})
    PeerTime.objects.filter(pk=row.pk).update(milliseconds=F("milliseconds") + ms(**lasted))


def price(name: str, amount: str) -> None:
    set_fleet_price(name=name, amount=Decimal(amount), actor=None, valid_from=BEGUN)


def test_it_is_metered_while_it_is_up_by_hours_and_to_its_end() -> None:
    price("xsmall", "0.4")
    container = running(NOON - timedelta(minutes=30))
    assert services.meter_containers(NOON + timedelta(hours=1, minutes=10)) == 2
    assert services.meter_containers(NOON + timedelta(hours=1, minutes=10)) == 0
    moved(container, UNHEALTHY, NOON + timedelta(hours=1, minutes=15))  # it is up all the same
    moved(container, STOPPING, NOON + timedelta(hours=1, minutes=30))
    services.meter_containers(NOON + timedelta(hours=3))
    sums = totals(kind=UsageKind.CONTAINER)
    assert (sums["run_ms"], sums["vcpu_ms"], sums["gib_ms"]) == (ms(hours=2), ms(minutes=30), ms(hours=1))
    assert sums["cost_nano"] == money.nano(Decimal("0.8"))
    record = UsageRecord.objects.order_by("begun_at").first()
    assert record is not None
    assert (record.cluster_id, record.owner_id, record.offer) == (container.cluster_id, container.owner_id, "xsmall")
    totals()


def test_without_a_price_it_costs_nothing() -> None:
    running()
    services.meter_containers(NOON + timedelta(hours=2, minutes=10))
    assert totals(kind=UsageKind.CONTAINER)["cost_nano"] == 0
    assert totals(kind=UsageKind.CONTAINER)["run_ms"] == ms(hours=2)


def test_peers_time_is_free_first_and_has_its_price_then() -> None:
    price("peer", "0.6")
    container = running()
    Standing.objects.create(customer_id=container.customer_id or 0, allowance=5400)
    peers(container, NOON, hours=1)
    services.meter_containers(NOON + timedelta(hours=1, minutes=10))
    assert totals(kind=UsageKind.PEERS)["free_ms"] == ms(hours=1)
    peers(container, NOON, minutes=20)  # it came late
    peers(container, NOON + timedelta(hours=1), minutes=40)
    services.meter_containers(NOON + timedelta(hours=2, minutes=10))
    sums = totals(kind=UsageKind.PEERS)
    assert (sums["peer_ms"], sums["free_ms"]) == (ms(hours=2), ms(minutes=90))
    assert sums["cost_nano"] == money.nano(Decimal("0.3"))
    assert not PeerTime.objects.filter(milliseconds__gt=F("metered_ms")).exists()
    totals()


def test_each_month_has_its_own_free_time() -> None:
    price("peer", "1")
    container = running()
    Standing.objects.create(customer_id=container.customer_id or 0, allowance=3600)
    for at in (MONTH - timedelta(hours=1), MONTH):
        peers(container, at, hours=1, minutes=30)
    services.meter_containers(NOON)
    assert totals(kind=UsageKind.PEERS)["free_ms"] == ms(hours=2)
    assert totals(kind=UsageKind.PEERS)["cost_nano"] == money.nano(Decimal(1))


def test_the_hour_that_goes_on_is_not_metered_but_counted() -> None:
    container = running()
    peers(container, NOON, minutes=10)
    services.meter_containers(NOON + timedelta(minutes=50))
    assert totals(kind=UsageKind.PEERS)["peer_ms"] == 0
    services.keep_standings(NOON + timedelta(minutes=50))
    assert Standing.objects.get(customer=container.customer).used == 600


def test_they_are_warned_refused_and_stopped_unless_they_pay() -> None:
    container = running()
    user = container.owner
    user.email = "ann@example.com"
    user.save()
    Standing.objects.create(customer_id=container.customer_id or 0, allowance=1000)
    for seconds, warned in ((700, 0), (150, 80), (100, 80), (100, 100)):
        peers(container, NOON, seconds=seconds)
        services.keep_standings(NOON)
        assert sum(FreeTierMonth.objects.values_list("warned", flat=True)) == warned
    with pytest.raises(FreeTierUsedUp):
        make_container(container.cluster)
    services.keep_standings(NOON + timedelta(hours=71))
    container.refresh_from_db()
    assert container.desired == RUNNING
    services.keep_standings(NOON + timedelta(hours=73))
    container.refresh_from_db()
    assert container.desired == STOPPED
    tasks.send_free_tier_mail(customer_id=container.customer_id or 0, share=100)
    [sent] = mail.outbox
    assert "17 of 16 free minutes" in str(sent.body)
    assert "stopped after 72 hours" in str(sent.body)


def test_who_pays_runs_on() -> None:
    container = running()
    Standing.objects.create(customer_id=container.customer_id or 0, allowance=1, has_payment_details=True)
    peers(container, NOON, minutes=5)
    services.keep_standings(NOON)
    services.keep_standings(NOON + timedelta(hours=100))
    container.refresh_from_db()
    assert container.desired == RUNNING
    make_container(container.cluster)


def test_a_new_month_begins_with_nothing_used() -> None:
    container = running()
    peers(container, NOON, minutes=5)
    services.keep_standings(NOON)
    services.keep_standings(MONTH + timedelta(days=32))
    assert Standing.objects.get(customer=container.customer).used == 0


CHANGES = st.lists(
    st.tuples(st.sampled_from(["stop", "start", "sick", "meter", "again"]), st.integers(1, 9000)), max_size=15
)


@given(CHANGES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sum_of_records_is_the_time_it_was_up(changes: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        _run(changes)
        transaction.set_rollback(True)


def _run(changes: list[tuple[str, int]]) -> None:
    container, now, since, truth = running(), NOON, NOON, 0
    up = True
    for what, seconds in changes:
        now += timedelta(seconds=seconds)
        if what == "stop" and up:
            moved(container, STOPPING, now)
            moved(container, STOPPED, now)
            truth, up = truth + hours.milliseconds(now) - hours.milliseconds(since), False
        elif what == "start" and not up:
            for state in (PENDING, CREATING, RUNNING):
                moved(container, state, now)
            since, up = now, True
        elif what == "sick" and up:
            container.refresh_from_db()
            moved(container, RUNNING if container.status == UNHEALTHY else UNHEALTHY, now)
        elif what in ("meter", "again"):
            services.meter_containers(now)
    if up:
        moved(container, RECONFIGURING if container.status == RUNNING else STOPPING, now)
        truth += hours.milliseconds(now) - hours.milliseconds(since)
    services.meter_containers(now)
    assert totals()["run_ms"] == truth
