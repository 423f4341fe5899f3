"""Payment details and Stripe's events in the admin: read by all of the staff, written by nobody."""

from __future__ import annotations

import pytest
from django.utils import timezone

from billing.models import PaymentDetails, StripeEvent
from billing.services.stripe_events import MOST_TRIES
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.factories import make_customer_user
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
DETAILS = "/admin/billing/paymentdetails/"
EVENTS = "/admin/billing/stripeevent/"


@pytest.fixture
def details() -> PaymentDetails:
    user = make_customer_user("ada").user
    return PaymentDetails.objects.create(
        customer_id=user.customer_id or 0, owner=user, stripe_id="cus_7", city="Berlin"
    )


def make_event(name: str, **more: object) -> StripeEvent:
    values = {"type": "customer.updated", "created_at": timezone.now(), "body": {"id": name}}
    return StripeEvent.objects.create(stripe_id=name, **values, **more)


def test_staff_read_and_change_nothing(details: PaymentDetails) -> None:
    event = make_event("evt_7", error="out of reach")
    for role in STAFF:
        client = browser(role)
        for page, row, words in ((DETAILS, details, ("cus_7", "Berlin")), (EVENTS, event, ("evt_7", "out of reach"))):
            text = text_of(client.get(f"{page}{row.pk}/change/"))
            assert all(word in text for word in words)
            assert client.get(f"{page}add/").status_code == 403
            assert client.post(f"{page}{row.pk}/change/", {"stripe_id": "x"}).status_code == 403
            assert client.post(f"{page}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_events_are_found_by_what_became_of_them() -> None:
    make_event("evt_handled", handled_at=timezone.now())
    make_event("evt_waiting")
    make_event("evt_lost", tries=MOST_TRIES)
    client = browser("monitor")
    for state, name in (("handled", "evt_handled"), ("waiting", "evt_waiting"), ("given up", "evt_lost")):
        text = text_of(client.get(EVENTS, {"state": state}))
        assert [each for each in ("evt_handled", "evt_waiting", "evt_lost") if each in text] == [name]
    found = client.get(EVENTS, {"q": "evt_lost", "type": "customer.updated"}).context["cl"].result_list
    assert [each.stripe_id for each in found] == ["evt_lost"]


def test_payment_details_are_found_by_their_id_at_stripe(details: PaymentDetails) -> None:
    client = browser("monitor")
    for term, found in (("cus_7", [details]), ("cus_8", [])):
        assert client.get(DETAILS, {"q": term}).context["cl"].result_list == found


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    for page in (DETAILS, EVENTS):
        assert "/admin/login/" in browser(role).get(page).headers["Location"]


def test_the_lists_are_within_their_budgets(details: PaymentDetails) -> None:
    make_event("evt_7")
    client = browser("monitor")
    with within_budget("admin: payment details"):
        client.get(DETAILS)
    with within_budget("admin: stripe events"):
        client.get(EVENTS)
