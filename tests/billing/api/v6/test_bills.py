"""/v6/bills/."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Event
from billing import services
from billing.models import Bill
from tests.answers import json_of
from tests.billing.scene import MONTH, follow_from_here, price_here, ran
from tests.billing.services.test_bills import CLOSING, entry, put
from tests.factories import Person
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
BILLS = "/v6/bills/"


@pytest.fixture
def people() -> Mapping[str, Person]:
    follow_from_here()
    return everybody()


@pytest.fixture
def bill(people: Mapping[str, Person]) -> Bill:
    """Of March, and open: an hour and a half of a job at a dollar, and a correction."""
    price_here("1")
    ran(MONTH, timedelta(minutes=90), owner=people["owner"], vcpus_milli=1000)
    services.meter()
    customer = people["owner"].user.customer_id
    assert customer is not None
    put(entry(customer, "-0.2549", kind="correction", shape=""))
    services.close_month(MONTH.date(), now=CLOSING)
    return Bill.objects.get()


@pytest.mark.parametrize("who", WHO)
def test_staff_read_all_and_customers_their_own(who: str, people: Mapping[str, Person], bill: Bill) -> None:
    answers = [people[who].get(BILLS), people[who].get(f"{BILLS}{bill.pk}/"), people[who].get(f"{BILLS}{bill.uuid}/")]
    if who in ("anonymous", "disabled"):
        for answer in answers:
            refused(answer, 401)
    elif who == "stranger":
        assert json_of(answers[0])["results"] == []
        for answer in answers[1:]:
            refused(answer, 404, "BILL_NOT_FOUND")
    else:
        assert [row["id"] for row in json_of(answers[0])["results"]] == [bill.pk]
        assert json_of(answers[1]) == json_of(answers[2])


def test_a_bill_shows_its_lines(people: Mapping[str, Person], bill: Bill) -> None:
    with within_budget("GET /v6/bills/{id}/"):
        told = json_of(people["owner"].get(f"{BILLS}{bill.uuid}/"))
    lines = told.pop("lines")
    assert (told["customer"], told["month"], told["status"]) == ("acme", "2026-03", "open")
    assert (told["currency"], told["amount"], told["exact"]) == ("USD", "1.25", "1.2451")
    assert (told["stripe_invoice"], told["invoice_url"], told["settled"]) == (None, None, None)
    assert [(line["position"], line["kind"], line["label"], line["records"]) for line in lines] == [
        (1, "correction", "Corrections", 1),
        (2, "jobs", "Container jobs", 2),
    ]
    assert [(line["amount"], line["exact"]) for line in lines] == [("-0.25", "-0.2549"), ("1.5", "1.5")]
    assert lines[1]["seconds"] == lines[1]["vcpu_seconds"] == 5400.0


def test_filters_and_the_newest_month_first(people: Mapping[str, Person], bill: Bill) -> None:
    for days, who in ((40, "owner"), (70, "stranger")):
        customer = people[who].user.customer
        assert customer is not None
        ran(MONTH + timedelta(days=days), timedelta(hours=1), owner=people[who], customer=customer.name)
    services.meter()
    services.draw_up_drafts()
    admin = people["admin"]
    with within_budget("GET /v6/bills/"):
        assert months(admin) == ["2026-05", "2026-04", "2026-03"]
    assert months(admin, customer="acme") == ["2026-04", "2026-03"]
    assert months(admin, month="2026-05") == ["2026-05"]
    assert months(admin, status=["draft"]) == ["2026-05", "2026-04"]
    assert months(admin, order="month") == ["2026-03", "2026-04", "2026-05"]
    assert months(people["stranger"]) == ["2026-05"]


def months(person: Person, **question: Any) -> list[str]:
    return [row["month"] for row in json_of(person.get(BILLS, **question))["results"]]


@pytest.mark.parametrize(("field", "value"), [("status", "lost"), ("month", "x"), ("owner", "ada"), ("order", "sum")])
def test_a_question_that_cannot_be_read_is_refused_by_field(
    field: str, value: str, people: Mapping[str, Person]
) -> None:
    refused(people["owner"].get(BILLS, **{field: value}), 400, "INVALID_REQUEST", field)


@pytest.mark.parametrize("who", WHO)
def test_only_admins_mark_a_bill(who: str, people: Mapping[str, Person], bill: Bill) -> None:
    answer = people[who].post(f"{BILLS}{bill.pk}/mark/", {"status": "paid"})
    bill.refresh_from_db()
    if who == "admin":
        assert json_of(answer)["status"] == "paid" == bill.status
        assert Event.objects.filter(kind="bill.moved", subject_id=bill.pk).count() == 2
        return
    refused(answer, {"stranger": 404, "anonymous": 401, "disabled": 401}.get(who, 403))
    assert bill.status == "open"


def test_marking_keeps_to_the_states_of_a_bill(people: Mapping[str, Person], bill: Bill) -> None:
    path, admin = f"{BILLS}{bill.uuid}/mark/", people["admin"]
    with within_budget("POST /v6/bills/{id}/mark/"):
        assert json_of(admin.post(path, {"status": "uncollectible"}))["settled"] is not None
    assert json_of(admin.post(path, {"status": "void"}))["status"] == "void"
    refused(admin.post(path, {"status": "paid"}), 409, "BILL_STATE")
    for body, field in (({"status": "open"}, "status"), ({}, "status"), ({"status": "paid", "by": "x"}, "by")):
        refused(admin.post(path, body), 400, "INVALID_REQUEST", field)
    refused(admin.post(f"{BILLS}999999/mark/", {"status": "paid"}), 404, "BILL_NOT_FOUND")
