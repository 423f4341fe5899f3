"""/v6/prices/ and /v6/offers/."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Event
from clusters.models import Offer, Price
from clusters.services import set_price
from tests.answers import json_of
from tests.clusters.offers import BEGUN, make_offer, priced
from tests.factories import Person
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PRICES, OFFERS = "/v6/prices/", "/v6/offers/"
VCPU = {"cloud": "local", "name": "vcpu"}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.mark.parametrize("who", WHO)
def test_staff_read_and_admins_set(who: str, people: Mapping[str, Person]) -> None:
    price, person = priced("2"), people[who]
    reads = {"admin": 200, "operator": 200, "monitor": 200, "anonymous": 401, "disabled": 401}.get(who, 403)
    for path in (PRICES, f"{PRICES}{price.pk}/", OFFERS):
        assert person.get(path).status_code == reads, path
    made = person.post(PRICES, {"offer_id": price.offer_id, "amount": "3"})
    assert made.status_code == (201 if who == "admin" else reads if reads == 401 else 403), made.content
    assert Price.objects.filter(offer=price.offer_id).count() == (2 if who == "admin" else 1)


def test_a_price_is_set_for_a_customer_from_a_moment_on(people: Mapping[str, Person]) -> None:
    offer = make_offer(name="m1", region="eu-central-1")
    said = {"cloud": "aws", "region": "eu-central-1", "name": "m1"}
    body = {"offer": said, "amount": "0.0123456789", "customer": "acme", "valid_from": "2026-02-01T00:00:00Z"}
    with within_budget("POST /v6/prices/"):
        answer = people["admin"].post(PRICES, body)
    made = json_of(answer)
    assert answer.headers["Location"].endswith(f"{PRICES}{made['id']}/")
    assert made == {
        "id": made["id"],
        "offer": {**said, "id": offer.pk, "capacity": "on-demand", "measure": "machine"},
        "customer": "acme",
        "amount": "0.0123456789",
        "currency": "USD",
        "valid_from": "2026-02-01T00:00:00Z",
        "valid_to": None,
        "source": "staff",
        "imported": made["imported"],
    }
    later = json_of(people["admin"].post(PRICES, {**body, "valid_from": "2026-03-01T00:00:00Z", "amount": "100"}))
    assert later["amount"] == "100"
    with within_budget("GET /v6/prices/{id}/"):
        ended = json_of(people["monitor"].get(f"{PRICES}{made['id']}/"))
    assert ended["valid_to"] == "2026-03-01T00:00:00Z"
    told = Event.objects.filter(kind="price.set").latest("pk")
    assert (told.subject_id, told.actor_id) == (later["id"], people["admin"].user.pk)


def test_the_fleets_offers_are_made_where_there_are_none(people: Mapping[str, Person]) -> None:
    body = {"offer": {"cloud": "fleet", "name": "small", "region": "eu_west"}, "amount": "0.5"}
    made = json_of(people["admin"].post(PRICES, body))
    assert (made["offer"]["measure"], made["offer"]["region"], made["customer"]) == ("container", "eu_west", None)
    everywhere = json_of(people["admin"].post(PRICES, {"offer": {"cloud": "fleet", "name": "peer"}, "amount": "0.06"}))
    assert (everywhere["offer"]["measure"], everywhere["offer"]["region"]) == ("peer", "")


def test_the_same_key_sets_one(people: Mapping[str, Person]) -> None:
    key = {"headers": {"Idempotency-Key": "one"}}
    before = Price.objects.count()
    answers = [json_of(people["admin"].post(PRICES, {"offer": VCPU, "amount": "1"}, **key)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert Price.objects.count() == before + 1


def test_a_price_that_holds_already_is_answered_as_it_is(people: Mapping[str, Person]) -> None:
    answers = [json_of(people["admin"].post(PRICES, {"offer": VCPU, "amount": "0.04"})) for _ in range(2)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "1"}, "offer"),
        ({"offer": VCPU, "offer_id": 1, "amount": "1"}, "offer"),
        ({"offer": {**VCPU, "name": "gpu"}, "amount": "1"}, "offer"),
        ({"offer": {"cloud": "aws", "name": "twice"}, "amount": "1"}, "offer.capacity"),
        ({"offer": {**VCPU, "capacity": "free"}, "amount": "1"}, "offer.capacity"),
        ({"offer": {**VCPU, "vcpus": 1}, "amount": "1"}, "offer.vcpus"),
        ({"offer": {"cloud": "local"}, "amount": "1"}, "offer.name"),
        ({"offer": {"cloud": "fleet", "name": "huge"}, "amount": "1"}, "offer.name"),
        ({"offer": {"cloud": "fleet", "name": "peer", "region": "moon"}, "amount": "1"}, "offer.region"),
        ({"offer_id": 10**9, "amount": "1"}, "offer_id"),
        ({"offer": VCPU}, "amount"),
        ({"offer": VCPU, "amount": 1}, "amount"),
        ({"offer": VCPU, "amount": "-1"}, "amount"),
        ({"offer": VCPU, "amount": "0.12345678901"}, "amount"),
        ({"offer": VCPU, "amount": "1", "customer": "nobody"}, "customer"),
        ({"offer": VCPU, "amount": "1", "valid_from": "soon"}, "valid_from"),
        ({"offer": VCPU, "amount": "1", "source": "aws-price-list"}, "source"),
    ],
)
def test_a_price_that_cannot_be_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    for capacity in ("on-demand", "spot"):
        make_offer(name="twice", region="", capacity=capacity)
    before = Price.objects.count()
    refused(people["admin"].post(PRICES, body), 400, "INVALID_REQUEST", field)
    assert Price.objects.count() == before


def test_filters_find_what_they_name(people: Mapping[str, Person]) -> None:
    first = priced("1", name="m1")
    second = set_price(first.offer, amount=Decimal(2), actor=None, valid_from=BEGUN + timedelta(days=31))
    customer = people["owner"].user.customer
    own = set_price(first.offer, amount=Decimal(3), actor=None, valid_from=BEGUN, customer=customer)
    elsewhere = priced("4", name="m2", region="us-east-1")
    for question, expected in (
        ({"offer": "m1"}, [own, second, first]),
        ({"offer": "m1", "order": "id"}, [first, second, own]),
        ({"region": "us-east-1"}, [elsewhere]),
        ({"cloud": "aws", "at": "2026-01-15T00:00:00Z", "offer": ["m1", "m2"]}, [elsewhere, own, first]),
        ({"offer": "m1", "at": "2026-02-01T00:00:00Z"}, [own, second]),
        ({"offer": "m1", "at": "2025-12-31T00:00:00Z"}, []),
        ({"customer": "acme"}, [own]),
    ):
        found = json_of(people["monitor"].get(PRICES, **question))["results"]
        assert [row["id"] for row in found] == [each.pk for each in expected], question
    with within_budget("GET /v6/prices/"):
        json_of(people["monitor"].get(PRICES))
    for field, value in (("at", "then"), ("name", "m1"), ("order", "amount")):
        refused(people["monitor"].get(PRICES, **{field: value}), 400, "INVALID_REQUEST", field)


def test_offers_say_what_can_be_priced(people: Mapping[str, Person]) -> None:
    with within_budget("GET /v6/offers/"):
        [vcpu] = json_of(people["operator"].get(OFFERS, cloud="local", name="vcpu"))["results"]
    offer = Offer.objects.get(cloud="local", name="vcpu")
    assert (vcpu["id"], vcpu["measure"], vcpu["vcpus_milli"], vcpu["available"]) == (offer.pk, "unit", 1000, True)
    spot = make_offer(capacity="spot", available=False)
    found = json_of(people["operator"].get(OFFERS, capacity="spot", measure="machine", available="false"))["results"]
    assert [row["id"] for row in found] == [spot.pk]
    refused(people["operator"].get(OFFERS, capacity="free"), 400, "INVALID_REQUEST", "capacity")


def test_what_is_not_there_is_not_found(people: Mapping[str, Person]) -> None:
    refused(people["monitor"].get(f"{PRICES}999999999/"), 404, "PRICE_NOT_FOUND")
