"""Bills in the admin: seen by staff, settled by admins, printed, kept as CSV."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Event
from billing import states
from billing.models import Bill, UsageKind
from tests.answers import text_of
from tests.billing.scene import MONTH, drawn_up, entered, opened
from tests.browsers import OTHERS, STAFF, browser
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
BILLS = "/admin/billing/bill/"
MOVES = {"paid": "Mark paid", "void": "Void", "uncollectible": "Mark uncollectible"}


def page(bill: Bill, name: str = "change") -> str:
    return reverse(f"admin:billing_bill_{name}", args=[bill.pk])


def shown(bill: Bill, name: str = "change", role: str = "monitor") -> str:
    answer = browser(role).get(page(bill, name))
    assert answer.status_code == 200
    return text_of(answer)


def listed(**parameters: Any) -> list[int]:
    return [row.pk for row in browser("monitor").get(BILLS, parameters).context["cl"].result_list]


def of_all_kinds() -> Bill:
    """A draft with a line of each kind, among them a name that would be a formula."""
    entered(cost="1.005")
    entered(cost="2", shape="map")
    entered(cost="0.5", shape="seed", job_type_id=7)
    entered(kind=UsageKind.PEERS, shape="", cluster_id=3, run_ms=0, peer_ms=7_200_000, free_ms=3_600_000)
    entered(kind=UsageKind.CONTAINER, shape="", cluster_id=3, cost="0")
    entered(kind=UsageKind.CORRECTION, shape="", cost="-2.5", run_ms=0, note="given back")
    return drawn_up()


def test_why_a_bill_is_not_sent_is_told() -> None:
    entered()
    bill = opened()
    assert "Not sent" not in shown(bill)
    Bill.objects.update(sending_error="Stripe could not process the request. (card_declined)")
    assert all(word in shown(bill) for word in ("Not sent, as", "card_declined", "Sent again"))


def test_all_staff_see_bills_and_others_none() -> None:
    entered()
    bill = opened()
    paths = (BILLS, page(bill), page(bill, "print"), page(bill, "csv"))
    for role in STAFF:
        for path in (*paths[:3],):
            assert "acme" in text_of(browser(role).get(path))
        assert browser(role).get(paths[3]).status_code == 200
    for role in OTHERS:
        for path in (*paths, page(bill, "paid")):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


def test_the_list_is_narrowed_and_searched() -> None:
    entered(), entered("other"), entered(at=MONTH + timedelta(days=40))
    bill, draft = opened(), drawn_up("other")
    april = Bill.objects.get(month__month=4)
    Bill.objects.filter(pk=bill.pk).update(stripe_invoice="in_1")
    assert listed() == [april.pk, *sorted((bill.pk, draft.pk), reverse=True)]
    assert listed(status="draft") == [april.pk]
    assert listed(month="2026-03", status="open") == sorted((bill.pk, draft.pk), reverse=True)
    assert listed(month="2026-04") == [april.pk]
    assert listed(q="oth") == [draft.pk]
    assert listed(q=str(bill.uuid)) == [bill.pk] == listed(q=str(bill.pk)) == listed(q="in_1")
    assert listed(q="nobody") == []


@pytest.mark.parametrize("month", ["march", "2026-13", "2026-3", "2026-03-01", "٢٠٢٦-٠٣", "0000-01"])
def test_what_is_no_month_is_said(month: str) -> None:
    answer = browser("monitor").get(BILLS, {"month": month})
    assert "This is no month, such as 2026-03." in text_of(answer)
    assert list(answer.context["cl"].result_list) == []


def test_a_bill_tells_its_lines_what_they_come_to_and_where_it_is_at_stripe() -> None:
    bill = of_all_kinds()
    Bill.objects.update(stripe_invoice="in_1", invoice_url="https://invoice.stripe.com/i/1")
    text = shown(bill)
    for word in ("Container jobs", "MapReduce jobs", "Corrections", "-2.50", "1.005", "2.005 USD", "2.01 USD"):
        assert word in text, word
    assert "<dt>Peers' time</dt><dd>2 h</dd><dt>Of that free</dt><dd>1 h</dd>" in text.replace("&#x27;", "'")
    assert "href='https://invoice.stripe.com/i/1'" in text
    Bill.objects.update(invoice_url="javascript:alert(1)")
    assert "javascript:" not in shown(bill)


def test_each_line_leads_to_the_records_that_it_adds_up() -> None:
    bill = of_all_kinds()
    entered("other"), entered(at=MONTH + timedelta(days=40)), entered(shape="seed", job_type_id=8)
    seen: list[int] = []
    for line, url in zip(bill.lines.order_by("position"), _links(shown(bill)), strict=True):
        rows = browser("monitor").get(url.replace("&amp;", "&")).context["cl"].result_list
        assert len(rows) == line.records, line.label
        assert sum(row.cost_nano for row in rows) == line.exact_nano, line.label
        seen += [row.pk for row in rows]
    assert len(seen) == len(set(seen)) == 6


def _links(text: str) -> list[str]:
    return re.findall(r"href='(/admin/billing/usagerecord/\?[^']*)'>\d+ records", text)


def test_pages_cost_the_same_with_one_bill_and_with_many() -> None:
    client, counts = browser("monitor"), []
    for count in (1, 12):
        for number in range(count):
            entered(f"customer {count} {number}")
            for kind in range(count):
                entered(shape="seed", job_type_id=kind + 1)
        bill = drawn_up()
        with within_budget("admin: bills"), counted() as of_list:
            client.get(BILLS)
        with within_budget("admin: bill page"), counted() as of_page:
            client.get(page(bill))
        with counted() as of_print:
            client.get(page(bill, "print"))
        counts.append((len(of_list), len(of_page), len(of_print)))
    assert counts[0] == counts[1]


def test_an_admin_settles_a_bill_as_its_state_allows() -> None:
    entered()
    bill = opened()
    client = browser("admin")
    assert [label for label in MOVES.values() if f">{label}<" in shown(bill, role="admin")] == list(MOVES.values())
    assert "can be paid or voided later" in text_of(client.get(page(bill, "uncollectible")))
    assert client.post(page(bill, "uncollectible")).headers["Location"] == page(bill)
    assert [label for label in MOVES.values() if f">{label}<" in shown(bill, role="admin")] == ["Mark paid", "Void"]
    client.post(page(bill, "paid"))
    bill.refresh_from_db()
    assert bill.status == states.PAID
    assert not any(f">{label}<" in shown(bill, role="admin") for label in (*MOVES.values(), "Draw up"))
    assert client.post(page(bill, "void")).status_code == 403
    event = Event.objects.filter(kind="bill.moved").latest("pk")
    assert event.actor is not None
    assert (event.actor.username, event.before) == ("browser-admin", {"status": "uncollectible"})
    assert "status uncollectible → paid" in shown(bill)


def test_a_draft_is_drawn_up_at_once_and_not_settled() -> None:
    entered()
    bill = drawn_up()
    entered(cost="2")
    client = browser("admin")
    assert not any(f">{label}<" in shown(bill, role="admin") for label in MOVES.values())
    assert client.post(page(bill, "paid")).status_code == 403
    client.post(page(bill, "draw-up"))
    bill.refresh_from_db()
    assert (bill.status, bill.amount) == (states.DRAFT, 300)


@pytest.mark.parametrize("role", ["operator", "monitor"])
@pytest.mark.parametrize("name", [*MOVES, "draw-up"])
def test_who_only_looks_gets_neither_button_nor_page_nor_deed(role: str, name: str) -> None:
    entered()
    bill = drawn_up() if name == "draw-up" else opened()
    before = Bill.objects.values().get()
    assert page(bill, name) not in shown(bill, role=role)
    assert browser(role).get(page(bill, name)).status_code == 403
    assert browser(role).post(page(bill, name)).status_code == 403
    assert Bill.objects.values().get() == before


def test_a_warning_says_that_stripe_s_invoice_stays() -> None:
    entered()
    bill = opened()
    assert "invoice at Stripe" not in shown(bill, "void", "admin")
    Bill.objects.update(stripe_invoice="in_1")
    assert "the invoice at Stripe stays as it is" in shown(bill, "void", "admin")


def test_the_printed_page_has_its_lines_and_nothing_from_elsewhere() -> None:
    entered(cost="1.5"), entered("<b>&co"), entered("<b>&co", shape="seed", job_type_id=5)
    bill = opened("<b>&co")
    text = shown(bill, "print")
    assert "Bill for 2026-03" in text
    assert "&lt;b&gt;&amp;co" in text
    assert "<b>" not in text
    assert [amount for amount in ("1.00", "2.00") if f">{amount}<" in text] == ["1.00", "2.00"]
    assert "<script" not in text
    assert all(address.startswith("/") for address in re.findall(r"(?:href|src)=[\"']([^\"']*)", text))


def test_lines_are_kept_as_csv_in_which_no_name_is_a_formula() -> None:
    bill = of_all_kinds()
    bill.lines.filter(kind="jobs", shape="container").update(label="=HYPERLINK(1)")
    answer = browser("monitor").get(page(bill, "csv"))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="bill-{bill.pk}-2026-03.csv"'
    rows = list(csv.DictReader(io.StringIO(text_of(answer), newline="")))
    assert [int(row["position"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    by_kind = {row["kind"]: row for row in rows}
    assert (by_kind["correction"]["amount_usd"], by_kind["correction"]["exact_usd"]) == ("-2.50", "-2.500000000")
    assert (by_kind["peers"]["hours"], by_kind["peers"]["free_hours"]) == ("2.000000", "1.000000")
    assert [row["label"] for row in rows if "HYPERLINK" in row["label"]] == ["'=HYPERLINK(1)"]
