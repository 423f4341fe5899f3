"""/api/v1/payments/details: one's own, as Stripe has them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Standing
from billing import services
from tests.answers import json_of, text_of
from tests.contracts.fishjam_payments import BODY, DETAILS
from tests.factories import Person, make_customer_user, make_operator
from tests.people import everybody
from tests.query_budget import within_budget
from tests.stripe_server import Fault, StripeServer

NOTHING = {"address": None, "customer": None}


def changed(**changes: Any) -> Any:
    """The body, with `address__city="Bonn"`; `...` leaves one out."""
    body: dict[str, Any] = copy.deepcopy(BODY)
    for place, value in changes.items():
        part, _, name = place.partition("__")
        if value is ...:
            del body[part][name]
        else:
            body[part][name] = value
    return body


def said(answer: Any, status: int) -> Any:
    assert answer.status_code == status, text_of(answer)
    return json.loads(text_of(answer))


def test_from_nothing_to_all_that_is_said(ada: Person, server: StripeServer) -> None:
    assert ada.get(DETAILS).status_code == 404
    with within_budget("POST /api/v1/payments/details"):
        assert ada.post(DETAILS).status_code == 201
    assert json_of(ada.get(DETAILS)) == NOTHING
    with within_budget("PUT /api/v1/payments/details"):
        written = json_of(ada.put(DETAILS, BODY))
    expected = {"address": {**BODY["address"], "state": None}, "customer": BODY["customer"]}
    assert written == expected
    with within_budget("GET /api/v1/payments/details"):
        assert json_of(ada.get(DETAILS)) == expected
    assert Standing.objects.get(customer=ada.user.customer).has_payment_details


def test_what_is_left_out_is_taken_away(ada: Person, server: StripeServer) -> None:
    ada.post(DETAILS)
    ada.put(DETAILS, BODY)
    less = {"address": {"line1": "a", "city": "b", "country": "FR"}, "customer": {"name": "c"}}
    written = json_of(ada.put(DETAILS, less))
    assert written == {
        "address": {**less["address"], "line2": None, "state": None, "postal_code": None},
        "customer": {"name": "c", "phone": None, "tax_id": None},
    }
    assert json_of(ada.get(DETAILS)) == written


def test_each_sees_their_own_and_nobody_anybody_elses(server: StripeServer, db: None) -> None:
    people = everybody()
    assert people["owner"].post(DETAILS).status_code == 201
    statuses = {
        who: (person.get(DETAILS).status_code, person.put(DETAILS, BODY).status_code, person.post(DETAILS).status_code)
        for who, person in people.items()
    }
    staff = dict.fromkeys(("admin", "operator", "monitor"), (404, 404, 409))
    assert statuses == staff | {
        "owner": (200, 200, 409), "colleague": (404, 404, 409), "stranger": (404, 404, 201),
        "anonymous": (401, 401, 401), "disabled": (401, 401, 401),
    }  # fmt: skip
    assert len(server.customers()) == 2


def test_who_belongs_to_no_customer_is_told_so(server: StripeServer, db: None) -> None:
    answer = make_operator().post(DETAILS)
    assert said(answer, 409)["detail"] == "You belong to no customer, so there is nobody to pay."


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"customer__name": "x" * 257}, ["customer", "name"]), ({"customer__name": ...}, ["customer", "name"]),
        ({"customer__phone": "1" * 21}, ["customer", "phone"]), ({"customer__email": "nobody"}, ["customer", "email"]),
        ({"customer__email": None}, ["customer", "email"]), ({"customer__name": "a\0b"}, ["customer", "name"]),
        ({"customer__phone": "\ud800"}, ["customer", "phone"]), ({"address__country": "de"}, ["address", "country"]),
        ({"address__country": "DEU"}, ["address", "country"]), ({"address__line1": 7}, ["address", "line1"]),
        ({"address__line2": "a\0"}, ["address", "line2"]), ({"address__city": ""}, ["address", "city"]),
        ({"customer__tax_id": "nonsense"}, ["customer", "tax_id"]),
        ({"address__country": "AQ"}, ["customer", "tax_id"]),
        ({"customer__email": "ada@example.com", "address__state": "x" * 256}, ["address", "state"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_422_and_named(
    change: dict[str, Any], loc: list[str], ada: Person, server: StripeServer
) -> None:
    ada.post(DETAILS)
    answer = ada.put(DETAILS, changed(**change))
    assert [fault["loc"] for fault in said(answer, 422)["detail"]] == [["body", *loc]]
    assert json_of(ada.get(DETAILS)) == NOTHING


def test_the_longest_that_may_be_is_kept(ada: Person, server: StripeServer) -> None:
    ada.post(DETAILS)
    body = changed(customer__name="n" * 256, customer__phone="1" * 20, address__line1="ä" * 255)
    assert json_of(ada.put(DETAILS, body))["customer"]["name"] == "n" * 256


def test_what_was_written_on_stripes_own_pages_is_shown(ada: Person, server: StripeServer) -> None:
    ada.post(DETAILS)
    [customer] = server.customers()
    customer |= {"email": "bills@example.com", "address": {"city": "Bonn", "country": "DE"}}
    assert json_of(ada.get(DETAILS)) == {
        "address": {
            "line1": "", "line2": None, "city": "Bonn", "state": None, "postal_code": None, "country": "DE",
        },
        "customer": {"name": "", "email": "bills@example.com", "phone": None, "tax_id": None},
    }  # fmt: skip
    customer["address"] = {"city": "Bonn", "country": None}
    assert json_of(ada.get(DETAILS))["address"] is None


@pytest.mark.parametrize(("fault", "status"), [(402, 500), (403, 500), (429, 503), (500, 503), (0, 503)])
def test_what_stripe_says_no_to_is_told_in_our_words(
    fault: int, status: int, ada: Person, server: StripeServer
) -> None:
    server.faults = [Fault(fault, times=3)]
    answer = ada.post(DETAILS)
    words = "Stripe could not process the request." if status == 500 else "Stripe cannot be reached just now;"
    assert said(answer, status)["detail"].startswith(words)
    assert ("Retry-After" in answer.headers) is (status == 503)
    assert "sk_test" not in text_of(answer)


def test_without_stripe_it_is_503_and_names_the_setting(
    ada: Person, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "")
    assert "STRIPE_API_KEY" in said(ada.post(DETAILS), 503)["detail"]


# --- The native way to Stripe's page -----------------------------------------------------------------

PORTAL = "/v6/payments/portal/"


def test_the_page_is_opened_for_who_pays(ada: Person, server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ACCOUNT_URL", "https://ours.example")
    assert ada.post(PORTAL, {}).status_code == 404
    services.make_payment_details(user=ada.user)
    with within_budget("POST /v6/payments/portal/"):
        answer = ada.post(PORTAL, {})
    assert said(answer, 201)["url"].startswith("https://billing.stripe.com/p/session/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert server.calls[-1].params["return_url"] == "https://ours.example"
    assert ada.post(PORTAL, {"return_url": "https://ours.example/bills"}).status_code == 201
    refused = said(ada.post(PORTAL, {"return_url": "https://evil.example/"}), 400)
    assert [each["field"] for each in refused["errors"]] == ["return_url"]
    assert make_customer_user("bob", "acme").post(PORTAL, {}).status_code == 404
    server.faults = [Fault(400)]
    assert said(ada.post(PORTAL, {}), 500)["code"] == "STRIPE_REFUSED"
