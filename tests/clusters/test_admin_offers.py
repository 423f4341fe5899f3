"""Offers and prices in the admin: seen by staff, examples marked, prices set by admins alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, Event
from clusters.models import Offer, Price
from clusters.queries import fleet_rate
from tests.browsers import OTHERS, STAFF, browser
from tests.clusters.offers import make_offer, priced
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
OFFERS, PRICES = "/admin/clusters/offer/", "/admin/clusters/price/"


def page(offer: Offer, name: str = "change") -> str:
    return reverse(f"admin:clusters_offer_{name}", args=[offer.pk])


def text(client: Client, path: str, **parameters: Any) -> str:
    answer = client.get(path, parameters)
    assert answer.status_code == 200
    return str(answer.content.decode())


def listed(path: str, **parameters: Any) -> list[Any]:
    return [row.pk for row in browser("monitor").get(path, parameters).context["cl"].result_list]


def test_all_staff_see_offers_and_prices_and_others_none() -> None:
    price = priced("0.25", name="real.large")
    for role in STAFF:
        assert all("real.large" in text(browser(role), path) for path in (OFFERS, PRICES, page(price.offer)))
        assert "0.2500000000" in text(browser(role), page(price.offer))
    for role in OTHERS:
        for path in (OFFERS, PRICES, page(price.offer), page(price.offer, "price")):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


def test_an_example_is_marked_on_every_page() -> None:
    example = Price.objects.filter(source="example").latest("pk")
    change = reverse("admin:clusters_price_change", args=[example.pk])
    for path in (PRICES, change, page(example.offer)):
        assert "EXAMPLE, no quote" in text(browser("monitor"), path)


def test_the_lists_are_narrowed() -> None:
    acme = Customer.objects.create(name="acme")
    price = priced("1", name="real.large", region="eu-central-1", customer=acme)
    assert listed(OFFERS, region="eu-central-1") == [price.offer_id]
    assert all(Offer.objects.get(pk=pk).cloud == "local" for pk in listed(OFFERS, cloud="local"))
    assert listed(PRICES, source="staff") == [price.pk]
    assert listed(PRICES, customer="acme") == [price.pk]
    assert listed(PRICES, customer="nobody") == []


def test_the_lists_are_within_their_budget() -> None:
    client = browser("monitor")
    for name, path in (("admin: offers", OFFERS), ("admin: prices", PRICES)):
        with within_budget(name):
            client.get(path)


def test_an_admin_sets_a_price() -> None:
    offer = make_offer()
    assert page(offer, "price") in text(browser("admin"), page(offer))
    answer = browser("admin").post(page(offer, "price"), {"amount": "0.1234567891", "valid_from": "2026-07-01 08:00"})
    assert answer.headers["Location"] == page(offer)
    price = offer.prices.get()
    assert (price.amount, price.source, price.customer) == (Decimal("0.1234567891"), "staff", None)
    assert price.valid_from == datetime(2026, 7, 1, 8, tzinfo=UTC)
    event = Event.objects.get(kind="price.set")
    assert event.actor is not None
    assert event.actor.username == "browser-admin"


def test_a_price_of_one_customer_begins_now_if_nothing_is_said() -> None:
    offer, acme = make_offer(), Customer.objects.create(name="acme")
    browser("admin").post(page(offer, "price"), {"amount": "2", "customer": "acme"})
    assert offer.prices.get().customer == acme


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "-1"), ("amount", ""), ("amount", "0.12345678901"), ("amount", "99999999999"), ("amount", "NaN"),
        ("valid_from", "soon"), ("customer", "nobody"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_at_its_field(field: str, value: str) -> None:
    offer = make_offer()
    answer = browser("admin").post(page(offer, "price"), {"amount": "1", field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not offer.prices.exists()


@pytest.mark.parametrize("role", ["operator", "monitor"])
def test_who_may_not_set_prices_gets_neither_button_nor_page_nor_deed(role: str) -> None:
    offer = make_offer()
    assert page(offer, "price") not in text(browser(role), page(offer))
    assert browser(role).get(page(offer, "price")).status_code == 403
    assert browser(role).post(page(offer, "price"), {"amount": "1"}).status_code == 403
    assert not offer.prices.exists()


def test_an_admin_prices_peers_everywhere_and_at_a_location() -> None:
    offer = Offer.objects.get(cloud="fleet", name="peer")
    assert listed(OFFERS, cloud="fleet") == list(
        Offer.objects.filter(cloud="fleet").order_by("-pk").values_list("pk", flat=True)
    )
    assert "the hour of one connected peer" in text(browser("monitor"), page(offer))
    browser("admin").post(page(offer, "price"), {"amount": "0.02"})
    browser("admin").post(page(offer, "price"), {"amount": "0.03", "location": "eu_west"})
    rates = [fleet_rate("peer", where, None, timezone.now()) for where in ("us_east", "eu_west")]
    assert [rate.per_hour for rate in rates if rate] == [Decimal("0.02"), Decimal("0.03")]
    there = Offer.objects.get(cloud="fleet", name="peer", region="eu_west")
    browser("admin").post(page(there, "price"), {"amount": "0.04", "location": "us_east"})
    assert there.prices.latest("valid_from").amount == Decimal("0.04")
    answer = browser("admin").post(page(offer, "price"), {"amount": "1", "location": "moon"})
    assert "location" in answer.context["form"].errors


def test_only_what_is_of_containers_is_priced_by_location() -> None:
    assert "location" not in browser("admin").get(page(make_offer(), "price")).context["form"].fields
