"""What a place offers at what price: which price holds, what a job is priced by, and what that comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer
from clusters import queries
from clusters.locations import MACHINE_TYPES
from clusters.models import Price
from clusters.services import set_fleet_price, set_price
from tests.clusters.offers import BEGUN, make_offer, priced

pytestmark = pytest.mark.django_db
REGION = "eu-central-1"
JULY = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def acme() -> Customer:
    return Customer.objects.create(name="acme")


def rates(*size: int, **more: Any) -> list[queries.Rate]:
    """What is offered for such a job, without examples."""
    return [rate for rate in queries.offers_for("aws", REGION, *size, **more) if not rate.is_example]


def names(*size: int, **more: Any) -> list[str]:
    return [rate.offer for rate in rates(*size, **more)]


def test_the_cheapest_comes_first_and_what_is_too_small_does_not_come() -> None:
    priced("0.10", name="small", vcpus_milli=1000, memory_mib=1024)
    priced("0.40", name="dear")
    priced("0.20", name="cheap")
    assert names(2000, 4096) == ["cheap", "dear"]
    assert names(64_000, 4096) == []


def test_a_container_job_takes_the_largest_of_its_shares() -> None:
    priced("0.40", name="machine")
    (rate,) = rates(1000, 8 * 1024)
    assert rate.per_hour == Decimal("0.20")
    assert rates(1000, 8 * 1024, whole=True)[0].per_hour == Decimal("0.40")


def test_gpus_count_as_a_share_and_have_to_be_there() -> None:
    priced("0.40", name="plain")
    priced("4", name="with-gpus", gpus=4)
    assert names(1000, 1024, 1) == ["with-gpus"]
    assert queries.offers_for("aws", REGION, 500, 512, 1)[0].per_hour == Decimal(1)


def test_what_is_not_available_is_not_offered() -> None:
    priced("0.40", name="gone", available=False)
    priced("0.40", name="there")
    assert "gone" not in names(1000, 1024)


def test_on_fargate_a_job_takes_units(settings: Any) -> None:
    settings.AWS_BATCH_PLATFORM = "FARGATE"
    priced("0.05", name="vcpu", measure="unit", vcpus_milli=1000, memory_mib=0)
    priced("0.006", name="gb", measure="unit", vcpus_milli=0, memory_mib=1024)
    (rate,) = queries.offers_for("aws", REGION, 500, 2048)
    assert (rate.offer, rate.per_hour) == ("vcpu + gb", Decimal("0.037"))
    assert queries.offers_for("aws", REGION, 500, 2048, 1) == []


def test_here_a_job_costs_nothing_until_staff_say_otherwise() -> None:
    rate = queries.price_list("local", "anywhere").rate(500, 512)
    assert rate is not None
    assert (rate.per_hour, rate.source, rate.is_example) == (Decimal(0), "default", False)
    vcpu = Price.objects.get(offer__cloud="local", offer__name="vcpu").offer
    set_price(vcpu, amount=Decimal("0.01"), actor=None)
    again = queries.price_list("local", "anywhere").rate(500, 512)
    assert again is not None
    assert again.per_hour == Decimal("0.005")


def test_an_example_is_marked_and_gives_way_to_every_price_of_its_kind() -> None:
    example = queries.price_list("aws", REGION).rate(1000, 1024)
    assert example is not None
    assert (example.is_example, example.offer) == (True, "example-small")
    priced("9", name="real")
    real = queries.price_list("aws", REGION).rate(1000, 1024)
    assert real is not None
    assert (real.is_example, real.offer) == (False, "real")
    assert all(not rate.offer.startswith("example") for rate in queries.offers_for("aws", REGION, 1, 1) if
               rate.capacity == "on-demand")  # fmt: skip
    elsewhere = queries.price_list("aws", "us-east-1").rate(1000, 1024)
    assert elsewhere is not None
    assert elsewhere.is_example


def test_an_instance_job_is_priced_by_spot_unless_that_is_only_an_example() -> None:
    priced("0.40", name="firm")
    rate = queries.price_list("aws", REGION).rate(1000, 1024, whole=True)
    assert rate is not None
    assert rate.offer == "firm"
    priced("0.50", name="loose", capacity="spot")
    rate = queries.price_list("aws", REGION).rate(1000, 1024, whole=True)
    assert rate is not None
    assert rate.offer == "loose"


def test_nothing_has_a_rate_where_nothing_is_offered() -> None:
    assert queries.price_list("aws", REGION).rate(10_000_000, 1024) is None


def test_of_one_name_the_region_wins_over_every_region() -> None:
    priced("0.40", name="machine", region="")
    priced("0.80", name="machine")
    assert [rate.per_hour for rate in rates(4000, 1024)] == [Decimal("0.8")]


def test_the_price_of_a_moment_is_the_last_that_had_begun() -> None:
    offer = make_offer()
    for amount, begins in (("1", BEGUN), ("2", JULY)):
        set_price(offer, amount=Decimal(amount), actor=None, valid_from=begins)

    def at(moment: datetime) -> Decimal | None:
        found = queries.price_for(offer.pk, None, moment)
        return found.amount if found else None

    second = timedelta(seconds=1)
    assert [at(BEGUN - second), at(BEGUN), at(JULY - second), at(JULY)] == [None, 1, 1, 2]


def test_a_customers_own_price_wins_for_that_customer_alone(acme: Customer) -> None:
    offer, other = make_offer(name="machine"), Customer.objects.create(name="other")
    set_price(offer, amount=Decimal(4), actor=None, valid_from=BEGUN)
    set_price(offer, amount=Decimal(2), actor=None, valid_from=BEGUN, customer=acme)
    set_price(offer, amount=Decimal(5), actor=None, valid_from=JULY)
    now = timezone.now()
    amounts = [queries.price_for(offer.pk, whom, now) for whom in (acme.pk, other.pk, None)]
    assert [found.amount for found in amounts if found] == [2, 5, 5]
    own = queries.price_list("aws", REGION, customer_id=acme.pk).rate(4000, 1)
    assert own is not None
    assert own.per_hour == 2


def test_a_price_list_is_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        queries.price_list("aws", REGION).rate(1000, 1024)


@pytest.mark.parametrize(
    ("rate", "seconds", "cost"),
    [
        ("3600", 1, "1"),
        ("1", 3600, "1"),
        ("0.1", 1, "0.0000277778"),
        ("1", Decimal("0.5"), "0.0001388889"),
        ("1", 0, "0"),
        ("1", -5, "0"),
        ("9999999999.9999999999", 3600, "9999999999.9999999999"),
    ],
)
def test_a_cost_is_exact_to_the_tenth_decimal(rate: str, seconds: Any, cost: str) -> None:
    found = queries.amount(Decimal(rate), seconds)
    assert isinstance(found, Decimal)
    assert found == Decimal(cost)


# Of long-running containers


def fleet(amount: str, name: str = "peer", location: str = "", customer: Any = None, at: datetime = BEGUN) -> None:
    given = {"amount": Decimal(amount), "actor": None, "customer": customer, "valid_from": at}
    set_fleet_price(name=name, location=location, **given)


def test_peers_and_containers_cost_nothing_until_staff_say_otherwise() -> None:
    for name in ("peer", *MACHINE_TYPES):
        rate = queries.fleet_rate(name, "eu_west", None, JULY)
        assert rate is not None
        assert (rate.per_hour, rate.source, rate.offer) == (Decimal(0), "default", name)
    assert queries.fleet_rate("huge", "eu_west", None, JULY) is None


def test_a_customers_price_wins_and_then_that_of_a_location(acme: Customer) -> None:
    def cost(location: str, customer: Customer | None, at: datetime = JULY) -> int:
        rate = queries.fleet_rate("peer", location, customer.pk if customer else None, at)
        assert rate is not None
        return int(rate.per_hour)

    fleet("4")
    fleet("3", location="eu_west")
    assert (cost("eu_west", None), cost("us_east", None), cost("eu_west", acme)) == (3, 4, 3)
    fleet("2", customer=acme)
    assert (cost("eu_west", None), cost("us_east", acme), cost("eu_west", acme)) == (3, 2, 2)
    fleet("1", location="eu_west", customer=acme, at=JULY)
    assert (cost("us_east", acme), cost("eu_west", acme)) == (2, 1)
    assert cost("eu_west", acme, JULY - timedelta(seconds=1)) == 2
    assert cost("eu_west", None, BEGUN - timedelta(seconds=1)) == 0


def test_rates_of_many_moments_are_one_statement(acme: Customer, django_assert_num_queries: Any) -> None:
    fleet("4")
    fleet("5", at=JULY)
    fleet("7", name="large", customer=acme)
    keys = [(name, "eu_west", who, at) for name in ("peer", "large") for who in (acme.pk, None) for at in (BEGUN, JULY)]
    with django_assert_num_queries(1):
        found = queries.fleet_rates(keys)
    assert [rate.per_hour for rate in map(found.get, keys) if rate] == [4, 5, 4, 5, 7, 7, 0, 0]
    with django_assert_num_queries(0):
        assert queries.fleet_rates([]) == {}


@pytest.mark.parametrize("whole", [True, False])
def test_no_job_is_priced_by_what_containers_are_priced_by(whole: bool) -> None:
    fleet("1")
    assert queries.price_list("fleet", "").rates(0, 0, whole=whole) == []
    offers = {rate.offer for cloud in queries.CLOUDS for rate in queries.offers_for(cloud, "", 0, 0, whole=whole)}
    assert not offers & {"peer", *MACHINE_TYPES}
