"""/api/v1/payments/monthly-billing and /api/v1/metrics/current-usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer, Standing
from billing import services
from billing.models import Bill, UsageKind
from tests.answers import json_of
from tests.billing.scene import MONTH, follow_from_here
from tests.billing.services.test_bills import CLOSING, entry, put
from tests.contracts.fishjam_usage import BILLING, USAGE
from tests.factories import Person
from tests.people import WHO, everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Mapping[str, Person]:
    follow_from_here()
    return everybody()


@pytest.fixture
def acme(people: Mapping[str, Person]) -> Customer:
    customer = people["owner"].user.customer
    assert customer is not None
    return customer


@pytest.mark.parametrize("who", WHO)
def test_everybody_has_their_own_customers(who: str, people: Mapping[str, Person], acme: Customer) -> None:
    Bill.objects.create(customer=acme, month=MONTH.date())
    Standing.objects.create(customer=acme, used=7)
    bills, usage = people[who].get(BILLING), people[who].get(USAGE)
    if who in ("anonymous", "disabled"):
        assert (bills.status_code, usage.status_code) == (401, 401)
        return
    is_theirs = who in ("owner", "colleague")
    assert json_of(bills)["count"] == len(json_of(bills)["items"]) == (1 if is_theirs else 0)
    assert json_of(usage)["amount"] == (7 if is_theirs else 0)
    assert (json_of(usage)["updated_at"] is None) == (not is_theirs)


def test_a_bill_says_what_was_used_of_media_and_comes_to_all(people: Mapping[str, Person], acme: Customer) -> None:
    of: dict[str, Any] = {"kind": UsageKind.PEERS, "shape": "", "run_ms": 0, "owner_id": people["owner"].user.pk}
    put(entry(acme.pk, "2.5", peer_ms=10_900, free_ms=4_500, **of), entry(acme.pk, "0.25"))
    services.close_month(MONTH.date(), now=CLOSING)
    bill = Bill.objects.get()
    with within_budget("GET /api/v1/payments/monthly-billing"):
        told = json_of(people["owner"].get(BILLING))
    assert told == {
        "items": [
            {
                "uuid": str(bill.uuid),
                "period_start": "2026-03-01T00:00:00Z",
                "period_end": "2026-04-01T00:00:00Z",
                "jellyseconds": 10,
                "free_jellyseconds": 4,
                "billed_jellyseconds": 6,
                "amount": 275,
                "currency": "usd",
                "status": "open",
                "invoice_url": None,
            }
        ],
        "count": 1,
    }
    Bill.objects.update(invoice_url="https://invoice.example/1")
    assert json_of(people["owner"].get(BILLING))["items"][0]["invoice_url"] == "https://invoice.example/1"


def test_the_newest_month_comes_first_and_pages_go_on_by_offset(people: Mapping[str, Person], acme: Customer) -> None:
    for month in (3, 1, 12, 7):
        Bill.objects.create(customer=acme, month=date(2026, month, 1))
    for question, months in (
        ({}, [12, 7, 3, 1]),
        ({"limit": 2}, [12, 7]),
        ({"limit": 2, "offset": 3}, [1]),
        ({"offset": 9}, []),
    ):
        told = json_of(people["owner"].get(BILLING, **question))
        assert told["count"] == 4
        assert [datetime.fromisoformat(each["period_start"]).month for each in told["items"]] == months


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "x"), ("offset", "-1"), ("offset", "1.5")])
def test_a_page_that_cannot_be_is_422(name: str, value: str, people: Mapping[str, Person]) -> None:
    answer = people["owner"].get(BILLING, **{name: value})
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["query", name]]


def test_usage_goes_up_to_the_end_of_the_month(people: Mapping[str, Person], acme: Customer) -> None:
    at = datetime(2026, 3, 4, tzinfo=UTC)
    Standing.objects.create(customer=acme, used=123, updated_at=at)
    now = timezone.now()
    with within_budget("GET /api/v1/metrics/current-usage"):
        told = json_of(people["colleague"].get(USAGE))
    assert (told["amount"], told["updated_at"]) == (123, "2026-03-04T00:00:00Z")
    end = datetime.fromisoformat(told["end_timestamp"])
    assert (end.day, end.time()) == (1, datetime.min.time())
    assert timedelta(0) < end - now <= timedelta(days=31)
