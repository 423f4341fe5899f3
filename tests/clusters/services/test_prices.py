"""Prices set and taken over: one holds at a time, twice is as good as once, and nothing is refused in silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Customer, Event
from clusters.models import Offer, Price, Source
from clusters.services import ListedPrice, import_prices, set_fleet_price, set_price
from clusters.services import prices as module
from controlplane.core.errors import InvalidRequest
from tests.clusters.offers import BEGUN, make_offer
from tests.factories import make_admin

pytestmark = pytest.mark.django_db
JULY, AUGUST = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
LISTED = ListedPrice(
    cloud="aws",
    region="eu-central-1",
    name="machine",
    capacity="on-demand",
    vcpus_milli=2000,
    memory_mib=4096,
    amount=Decimal("0.1"),
    valid_from=BEGUN,
)


def spans(offer: Offer) -> list[tuple[Any, ...]]:
    rows = Price.objects.filter(offer=offer, customer=None).order_by("valid_from")
    return list(rows.values_list("amount", "valid_from", "valid_to"))


def one_offer() -> Offer:
    return Offer.objects.get(name="machine", region="eu-central-1")


def test_a_new_price_ends_the_one_before_it_also_when_it_comes_between_two() -> None:
    offer = make_offer()
    for amount, begins in ((1, BEGUN), (3, AUGUST), (2, JULY)):
        set_price(offer, amount=Decimal(amount), actor=None, valid_from=begins)
    assert spans(offer) == [(1, BEGUN, JULY), (2, JULY, AUGUST), (3, AUGUST, None)]


def test_the_same_moment_again_takes_the_place_of_what_was_said() -> None:
    offer = make_offer()
    set_price(offer, amount=Decimal(1), actor=None, valid_from=BEGUN)
    set_price(offer, amount=Decimal(2), actor=None, valid_from=BEGUN)
    assert spans(offer) == [(2, BEGUN, None)]


def test_a_price_that_holds_already_stays_the_one_it_is() -> None:
    offer, admin = make_offer(), make_admin().user
    first = set_price(offer, amount=Decimal(1), actor=admin, valid_from=BEGUN)
    assert [set_price(offer, amount=Decimal(1), actor=admin, valid_from=at) for at in (BEGUN, JULY, None)] == [
        first
    ] * 3
    assert spans(offer) == [(1, BEGUN, None)]
    assert Event.objects.filter(kind="price.set").count() == 1


def test_a_customers_prices_end_each_other_and_nobody_elses() -> None:
    offer, acme = make_offer(), Customer.objects.create(name="acme")
    set_price(offer, amount=Decimal(9), actor=None, valid_from=BEGUN)
    set_price(offer, amount=Decimal(5), actor=None, valid_from=JULY, customer=acme)
    assert spans(offer) == [(9, BEGUN, None)]


def test_who_set_a_price_is_told() -> None:
    admin = make_admin().user
    price = set_price(make_offer(), amount=Decimal("0.5"), actor=admin, valid_from=BEGUN)
    event = Event.objects.get(kind="price.set")
    assert (event.subject_id, event.actor) == (price.pk, admin)
    assert event.after is not None
    assert event.after["amount"] == "0.5"


@pytest.mark.parametrize("amount", ["-0.1", "NaN", "Infinity", "10000000000", "0.00000000001"])
def test_what_is_no_price_is_refused_by_name(amount: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        set_price(make_offer(), amount=Decimal(amount), actor=None)
    assert caught.value.field == "amount"
    assert not Price.objects.filter(source=Source.STAFF).exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"amount": Decimal(-1)},
        {"valid_to": BEGUN},
        {"valid_from": JULY},
    ],
)
def test_the_database_keeps_no_price_that_cannot_be(fault: dict[str, Any]) -> None:
    offer = make_offer()
    set_price(offer, amount=Decimal(1), actor=None, valid_from=JULY)
    with pytest.raises(IntegrityError), transaction.atomic():
        Price.objects.create(**{"offer": offer, "amount": Decimal(1), "valid_from": BEGUN, "source": "staff", **fault})


@pytest.mark.parametrize(
    "size",
    [
        {"measure": "machine", "vcpus_milli": 0},
        {"measure": "machine", "memory_mib": 0},
        {"measure": "unit"},
        {"measure": "unit", "vcpus_milli": 0, "memory_mib": 0},
        {"measure": "peer", "vcpus_milli": 0},
        {"measure": "container", "memory_mib": 0},
    ],
)
def test_the_database_keeps_no_offer_of_nothing(size: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_offer(**size)


def test_an_import_makes_offers_and_prices_and_does_it_once() -> None:
    first = import_prices([LISTED, replace(LISTED, name="other")], Source.AWS)
    assert (first.offers, first.prices["new"]) == (2, 2)
    again = import_prices([LISTED, replace(LISTED, name="other")], Source.AWS)
    assert (again.offers, dict(again.prices)) == (0, {"kept": 2})
    assert spans(one_offer()) == [(Decimal("0.1"), BEGUN, None)]


def test_a_dated_new_price_ends_the_one_before_and_the_same_price_of_a_new_date_is_kept() -> None:
    import_prices([LISTED], Source.AWS)
    assert import_prices([replace(LISTED, valid_from=JULY)], Source.AWS).prices["kept"] == 1
    import_prices([replace(LISTED, valid_from=AUGUST, amount=Decimal("0.2"))], Source.AWS)
    assert spans(one_offer()) == [(Decimal("0.1"), BEGUN, AUGUST), (Decimal("0.2"), AUGUST, None)]


def test_what_is_said_anew_of_the_same_moment_is_changed() -> None:
    import_prices([LISTED], Source.AWS)
    done = import_prices([replace(LISTED, amount=Decimal("0.3"))], Source.AWS)
    assert dict(done.prices) == {"changed": 1}
    assert spans(one_offer()) == [(Decimal("0.3"), BEGUN, None)]


def test_a_second_line_of_the_same_offer_and_moment_is_left() -> None:
    done = import_prices([LISTED, replace(LISTED, amount=Decimal(7))], Source.AWS)
    assert (done.prices["new"], done.left) == (1, 1)
    assert spans(one_offer()) == [(Decimal("0.1"), BEGUN, None)]


def test_both_moments_of_one_offer_are_taken_in_one_go() -> None:
    import_prices([replace(LISTED, valid_from=JULY, amount=Decimal(2)), LISTED], Source.AWS)
    assert spans(one_offer()) == [(Decimal("0.1"), BEGUN, JULY), (2, JULY, None)]


def test_an_offer_takes_the_size_that_the_list_says() -> None:
    import_prices([LISTED], Source.AWS)
    import_prices([replace(LISTED, memory_mib=8192)], Source.AWS)
    assert one_offer().memory_mib == 8192


def test_a_list_is_read_in_groups(monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 10)
    lines = [replace(LISTED, name=f"machine-{number}") for number in range(25)]
    with django_assert_max_num_queries(60):
        assert import_prices(iter(lines), Source.AWS).prices["new"] == 25


def test_a_price_of_a_location_makes_its_offer_once() -> None:
    for amount, begins in ((1, BEGUN), (2, JULY)):
        set_fleet_price(name="large", location="eu_west", amount=Decimal(amount), actor=None, valid_from=begins)
    offer = Offer.objects.get(cloud="fleet", region="eu_west")
    assert (offer.name, offer.measure, offer.vcpus_milli, offer.memory_mib) == ("large", "container", 0, 0)
    assert spans(offer) == [(1, BEGUN, JULY), (2, JULY, None)]
    set_fleet_price(name="peer", amount=Decimal(3), actor=None, valid_from=BEGUN)
    assert spans(Offer.objects.get(name="peer"))[-1] == (3, BEGUN, None)


@pytest.mark.parametrize("fault", [{"name": "huge"}, {"location": "moon"}, {"amount": Decimal(-1)}])
def test_a_price_of_no_machine_type_or_location_is_refused_by_name(fault: dict[str, Any]) -> None:
    before = Offer.objects.count()
    with pytest.raises(InvalidRequest) as caught:
        set_fleet_price(**{"name": "peer", "location": "eu_west", "amount": Decimal(1), "actor": None, **fault})
    assert [caught.value.field] == list(fault)
    assert Offer.objects.count() == before
