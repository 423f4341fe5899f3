"""Differences in the admin: all of the staff see them, admins and operators resolve them with a note."""

from __future__ import annotations

from datetime import date

import pytest
from django.utils import timezone

from billing.models import Difference, MeterEvent
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.factories import make_customer_user
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PAGE = "/admin/billing/difference/"
METERS = "/admin/billing/meterevent/"


@pytest.fixture
def difference() -> Difference:
    customer = make_customer_user("ada", "acme").user.customer
    return Difference.objects.create(
        kind="amount", customer=customer, bill_month=date(2026, 3, 1), ours="7.77", theirs="8.88", detail="in_1"
    )


def test_the_list_is_of_what_is_open(difference: Difference) -> None:
    client = browser("monitor")
    assert "8.88" in text_of(client.get(PAGE))
    assert "8.88" not in text_of(client.get(PAGE, {"state": "resolved"}))
    Difference.objects.update(resolved_at=timezone.now(), note="so")
    assert "8.88" not in text_of(client.get(PAGE))
    assert "8.88" in text_of(client.get(PAGE, {"state": "resolved"}))
    assert "8.88" in text_of(client.get(PAGE, {"state": "all", "kind": "amount"}))
    assert "8.88" not in text_of(client.get(PAGE, {"state": "all", "kind": "status"}))


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_staff_resolve_with_a_note(role: str, difference: Difference) -> None:
    client = browser(role)
    page = f"{PAGE}{difference.pk}/resolve/"
    assert page in client.get(f"{PAGE}{difference.pk}/change/").content.decode()
    client.post(page, {"note": " "})
    difference.refresh_from_db()
    assert difference.resolved_at is None
    client.post(page, {"note": "Paid by bank."})
    difference.refresh_from_db()
    assert (difference.note, difference.resolved_by is not None) == ("Paid by bank.", True)
    assert client.get(page).status_code == 403
    assert page not in client.get(f"{PAGE}{difference.pk}/change/").content.decode()


def test_a_monitor_only_reads(difference: Difference) -> None:
    client = browser("monitor")
    assert "in_1" in text_of(client.get(f"{PAGE}{difference.pk}/change/"))
    assert client.post(f"{PAGE}{difference.pk}/resolve/", {"note": "so"}).status_code == 403
    for role in STAFF:
        assert browser(role).get(f"{PAGE}add/").status_code == 403
        assert browser(role).post(f"{PAGE}{difference.pk}/delete/", {"post": "yes"}).status_code == 403


def test_meter_events_are_found_by_whether_they_were_sent(difference: Difference) -> None:
    assert difference.customer is not None
    for number, sent_at in ((1, timezone.now()), (2, None)):
        MeterEvent.objects.create(
            customer=difference.customer, bill_month=date(2026, 3, 1), day=date(2026, 3, number), value=7,
            identifier=f"usage-of-{number}", sent_at=sent_at,
        )  # fmt: skip
    client = browser("monitor")
    for state, name in (("sent", "usage-of-1"), ("waiting", "usage-of-2")):
        text = text_of(client.get(METERS, {"sent": state}))
        assert [each for each in ("usage-of-1", "usage-of-2") if each in text] == [name]
    found = client.get(METERS, {"q": "usage-of-1"}).context["cl"].result_list
    assert [each.identifier for each in found] == ["usage-of-1"]


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    for page in (PAGE, METERS):
        assert "/admin/login/" in browser(role).get(page).headers["Location"]


def test_the_lists_are_within_their_budgets(difference: Difference) -> None:
    client = browser("monitor")
    with within_budget("admin: differences"):
        client.get(PAGE)
    with within_budget("admin: meter events"):
        client.get(METERS)
