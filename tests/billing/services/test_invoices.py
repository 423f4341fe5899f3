"""What Stripe tells of invoices moves bills: whatever the order, however often, and of ours only."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from billing import hours, services, states, tasks
from billing.models import Bill, StripeEvent
from billing.services.invoices import refresh_invoice
from billing.stripe import stripe_account
from tests.billing.owing import CENT, CLOSING, invoices_of, owe, payer, use
from tests.billing.scene import MONTH, follow_from_here
from tests.stripe_server import Fault, Invoices, StripeServer, event, signed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _metered_from_here(server: StripeServer, db: None) -> None:
    follow_from_here()


def told(kind: str, invoice: dict[str, Any], number: int = 1) -> StripeEvent:
    """Stripe tells us, and we handle it."""
    body = json.dumps(event(f"invoice.{kind}", invoice, number)).encode()
    services.take_event(body=body, signature=signed(body))
    row = StripeEvent.objects.order_by("-pk").first()
    assert row is not None
    tasks.handle_stripe_event(row.stripe_id)
    row.refresh_from_db()
    return row


def do(invoice_id: str, what: str) -> dict[str, Any]:
    """Somebody does it at Stripe."""
    stripe_account().ask(lambda client: getattr(client.v1.invoices, what)(invoice_id))
    return {"id": invoice_id, "object": "invoice"}


@pytest.fixture
def bill(server: StripeServer) -> Bill:
    made = owe(payer())
    services.send_bills()
    made.refresh_from_db()
    return made


def status_of(bill: Bill) -> str:
    bill.refresh_from_db()
    return bill.status


@pytest.mark.parametrize(
    ("moves", "status"),
    [((), "open"), (("pay",), "paid"), (("void_invoice",), "void"), (("mark_uncollectible",), "uncollectible"),
     (("mark_uncollectible", "pay"), "paid"), (("mark_uncollectible", "void_invoice"), "void")],
)  # fmt: skip
def test_a_bill_becomes_what_its_invoice_is(moves: tuple[str, ...], status: str, bill: Bill) -> None:
    assert told("finalized", {"id": bill.stripe_invoice, "object": "invoice"}).handled_at
    for number, what in enumerate(moves, 2):
        assert told("updated", do(bill.stripe_invoice, what), number).handled_at
    assert status_of(bill) == status


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_and_repetition_do_not_matter(order: tuple[int, ...], bill: Bill) -> None:
    do(bill.stripe_invoice, "mark_uncollectible")
    about = do(bill.stripe_invoice, "pay")
    kinds = ("finalized", "marked_uncollectible", "paid")
    for number in (*order, *order):
        assert told(kinds[number], {**about, "status": "open"}, number).handled_at
        assert status_of(bill) == "paid"


def test_what_an_event_says_is_not_believed(bill: Bill) -> None:
    told("paid", {"id": bill.stripe_invoice, "object": "invoice", "status": "paid"})
    assert status_of(bill) == "open"


def test_an_invoice_that_names_a_bill_is_its_own_before_we_know(server: StripeServer) -> None:
    bill = owe(payer())
    server.faults = [Fault(500, "POST", ".*/finalize", after=True)]
    services.send_bills()
    Bill.objects.filter(pk=bill.pk).update(stripe_invoice="")
    [invoice] = invoices_of(server)
    told("finalized", invoice)
    bill.refresh_from_db()
    assert (bill.stripe_invoice, bill.sent_at is not None, bill.sending_error) == (invoice["id"], True, "")
    assert bill.invoice_url == invoice["hosted_invoice_url"]
    told("paid", do(invoice["id"], "pay"), 2)
    assert status_of(bill) == "paid"


def test_a_draft_is_noted_and_moves_nothing(server: StripeServer) -> None:
    bill = owe(payer())
    server.faults = [Fault(500, "POST", "/v1/invoiceitems")]
    services.send_bills()
    Bill.objects.filter(pk=bill.pk).update(stripe_invoice="")
    [invoice] = invoices_of(server)
    told("created", invoice)
    bill.refresh_from_db()
    assert (bill.stripe_invoice, bill.sent_at, bill.status) == (invoice["id"], None, "open")


@pytest.mark.parametrize("metadata", [{}, {"controlplane_bill": "nonsense"}, {"controlplane_bill": str(uuid4())}])
def test_unknown_invoices_are_left_alone(metadata: dict[str, str], bill: Bill, server: StripeServer) -> None:
    other = Invoices(server).make(customer=bill.customer.payment_details.stripe_id, metadata=metadata, parent=None)
    other["status"] = "paid"
    row = told("paid", other)
    assert (row.handled_at is not None, row.error, status_of(bill)) == (True, "", "open")


def test_a_copy_of_an_invoice_is_not_the_bills(bill: Bill, server: StripeServer) -> None:
    metadata = {"controlplane_bill": str(bill.uuid)}
    other = Invoices(server).make(customer=bill.customer.payment_details.stripe_id, metadata=metadata, parent=None)
    other["status"] = "void"
    told("voided", other)
    assert status_of(bill) == "open"


@pytest.mark.parametrize("about", [{"id": "in_gone", "object": "invoice"}, {"object": "invoice"}, {"id": "in_1"}, {}])
def test_what_is_not_there_is_done_without_a_word(about: dict[str, Any]) -> None:
    row = told("deleted", about)
    assert (row.handled_at is not None, row.error) == (True, "")


def test_what_our_bill_does_not_allow_is_left_to_the_comparison(bill: Bill) -> None:
    services.move_bill(bill=bill, to=states.VOID, actor=None)
    row = told("paid", do(bill.stripe_invoice, "pay"))
    assert (row.handled_at is not None, status_of(bill)) == (True, "void")


# --- Invoices of Stripe's own ----------------------------------------------------------------------


@pytest.fixture
def metered_bill(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> Bill:
    """A final bill whose days are told to a meter."""
    monkeypatch.setattr(settings, "STRIPE_BILLING", "meters")
    details = payer()
    use(details.customer_id, 100 * CENT)
    services.close_month(MONTH.date(), now=CLOSING)
    services.decide_meter_events(now=CLOSING)
    return Bill.objects.get()


def subscription_invoice(server: StripeServer, bill: Bill, **more: Any) -> dict[str, Any]:
    end = hours.begin(hours.next_month(bill.month))
    values = {
        "customer": bill.customer.payment_details.stripe_id, "status": "open",
        "period_start": int(hours.begin(bill.month).timestamp()), "period_end": int(end.timestamp()),
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
        "hosted_invoice_url": "https://invoice.stripe.com/i/1",
    }  # fmt: skip
    return Invoices(server).make(**{**values, **more})


def test_a_subscriptions_invoice_is_the_bills_by_payer_and_month(metered_bill: Bill, server: StripeServer) -> None:
    invoice = subscription_invoice(server, metered_bill)
    told("finalized", invoice)
    metered_bill.refresh_from_db()
    assert (metered_bill.stripe_invoice, metered_bill.invoice_url) == (invoice["id"], invoice["hosted_invoice_url"])
    assert metered_bill.sent_at is None  # its days are not
    told("paid", do(invoice["id"], "pay"), 2)
    assert status_of(metered_bill) == "paid"


@pytest.mark.parametrize(
    "more",
    [
        {"parent": None},
        {"customer": "cus_other"},
        {"period_end": int((MONTH + timedelta(days=62)).timestamp())},
        {"period_end": int((MONTH + timedelta(days=31, hours=1)).timestamp())},
    ],
)
def test_others_are_not(more: dict[str, Any], metered_bill: Bill, server: StripeServer) -> None:
    told("paid", subscription_invoice(server, metered_bill, **{"status": "paid", **more}))
    metered_bill.refresh_from_db()
    assert (metered_bill.status, metered_bill.stripe_invoice) == ("open", "")


def test_while_the_bill_is_a_draft_the_event_waits(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STRIPE_BILLING", "meters")
    details = payer()
    use(details.customer_id, 100 * CENT)
    services.draw_up_drafts()
    services.decide_meter_events(now=CLOSING)
    bill = Bill.objects.get()
    invoice = subscription_invoice(server, bill)
    row = told("finalized", invoice)
    assert (row.handled_at, row.error) == (None, "The bill of this invoice is a draft still.")
    services.close_month(MONTH.date(), now=CLOSING)
    refresh_invoice(invoice["id"])
    assert Bill.objects.get().stripe_invoice == invoice["id"]
