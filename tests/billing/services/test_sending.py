"""Bills become invoices at Stripe: each once, whatever goes wrong on the way."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import services, tasks
from billing.models import Bill, PaymentDetails
from billing.services import invoices as kept
from billing.services import sending
from billing.services.sending import LEASE, LONGEST_WAIT, RARELY
from billing.stripe import invoices, stripe_account
from controlplane.schedules import SCHEDULES
from tests.at_lines import Died, at_line, die, reconnect, some_of
from tests.billing.owing import CENT, invoices_of, items_of, lines_of, owe, payer, use, wanted_of
from tests.billing.scene import follow_from_here
from tests.factories import make_customer_user
from tests.stripe_server import Fault, StripeServer

pytestmark = pytest.mark.django_db
DAY_SECONDS = 86_400
WATCHED = (sending.__file__, kept.__file__, invoices.__file__)


@pytest.fixture(autouse=True)
def _metered_from_here(server: StripeServer, db: None) -> None:
    follow_from_here()


def again(bill: Bill) -> Bill:
    """As if its next try were due."""
    Bill.objects.filter(pk=bill.pk).update(sending_next_at=timezone.now() - timedelta(seconds=1))
    services.send_bills()
    bill.refresh_from_db()
    return bill


def is_whole(bill: Bill, server: StripeServer) -> bool:
    """Whether Stripe has the bill, once and nothing else, and we know."""
    bill.refresh_from_db()
    [invoice] = invoices_of(server)
    items = {int(each["metadata"][invoices.POSITION]): each["id"] for each in server.store.of("invoiceitem")}
    assert (invoice["status"], bill.sent_at is not None, bill.sending_error) == ("open", True, "")
    assert (bill.stripe_invoice, bill.invoice_url) == (invoice["id"], invoice["hosted_invoice_url"])
    assert items_of(server) == wanted_of(bill)
    assert {line.position: line.stripe_item for line in lines_of(bill)} == items
    return sum(amount for _, amount in items_of(server)) == bill.amount


def test_a_bill_becomes_an_invoice_with_an_item_for_each_line(server: StripeServer) -> None:
    details = payer()
    bill = owe(details, (120, -30, 0, 80))
    assert services.send_bills() == 1
    assert is_whole(bill, server)
    [invoice] = invoices_of(server)
    assert (invoice["customer"], invoice["currency"], invoice["auto_advance"]) == (details.stripe_id, "usd", "false")
    assert invoice["metadata"] == {"controlplane_bill": str(bill.uuid)}
    assert sorted(each["description"] for each in server.store.of("invoiceitem")) == sorted(
        line.label for line in lines_of(bill)
    )
    assert {each["metadata"]["controlplane_bill"] for each in server.store.of("invoiceitem")} == {str(bill.uuid)}
    keys = [call.headers["idempotency-key"] for call in server.calls if call.path.startswith("/v1/invoice")]
    assert keys[:-1] == [f"bill-{bill.uuid}", *(f"bill-{bill.uuid}-{number}" for number in range(1, 5))]


def test_the_first_time_nothing_is_looked_for(server: StripeServer) -> None:
    owe(payer())
    server.calls.clear()
    services.send_bills()
    assert server.asked() == [
        "POST /v1/invoices", "POST /v1/invoiceitems", "POST /v1/invoiceitems", "POST /v1/invoices/in/finalize",
    ]  # fmt: skip
    assert services.send_bills() == 0
    assert len(server.calls) == 4


@pytest.mark.parametrize("cents", [(0,), (-200,), (100, -100)])
def test_what_is_owed_to_nobody_is_not_sent(cents: tuple[int, ...], server: StripeServer) -> None:
    owe(payer(), cents)
    assert services.send_bills() == 0
    assert invoices_of(server) == []


def test_a_bill_waits_for_payment_details(server: StripeServer) -> None:
    user = make_customer_user("bob").user
    bill = owe(PaymentDetails(customer=user.customer))
    assert services.send_bills() == 0
    services.make_payment_details(user=user)
    assert services.send_bills() == 1
    assert is_whole(bill, server)


def test_drafts_and_settled_bills_are_not_sent(server: StripeServer) -> None:
    bill = owe(payer())
    services.move_bill(bill=bill, to="paid", actor=None)
    assert services.send_bills() == 0


def test_with_nothing_to_do_it_is_one_statement_and_without_stripe_none(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection) as asked:
        tasks.send_bills()
    assert len(asked) == 1
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "")
    with CaptureQueriesContext(connection) as asked:
        tasks.send_bills()
    assert len(asked) == 0
    assert {each.path: each.every_seconds for each in SCHEDULES}["billing.tasks.send_bills"] == 60


def test_where_meters_are_used_no_invoice_is_made(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    owe(payer())
    monkeypatch.setattr(settings, "STRIPE_BILLING", "meters")
    assert services.send_bills() == 0


def test_more_lines_than_an_invoice_has_room_for_share_the_last_item(server: StripeServer) -> None:
    bill = owe(payer(), [1] * 253)
    services.send_bills()
    bill.refresh_from_db()
    rows = server.store.of("invoiceitem")
    assert (len(rows), sum(each["amount"] for each in rows)) == (250, 253)
    assert rows[-1]["description"] == "4 more positions"
    assert len({line.stripe_item for line in lines_of(bill)[249:]}) == 1
    assert bill.sent_at is not None


# --- What goes wrong -------------------------------------------------------------------------------

CALLS = 5  # make the invoice, three items, finalize


@pytest.mark.parametrize("call", range(CALLS))
@pytest.mark.parametrize("after", [False, True], ids=["lost on the way there", "the answer lost"])
@pytest.mark.parametrize("later_seconds", [0, 2 * DAY_SECONDS], ids=["soon", "keys forgotten"])
def test_a_call_that_is_lost_is_made_up_for(call: int, after: bool, later_seconds: int, server: StripeServer) -> None:
    bill = owe(payer(), (1, 2, 3000))
    server.faults = [Fault(500, "POST", "/v1/invoice", after=after, times=99, skip=call)]
    assert services.send_bills() == 0
    bill.refresh_from_db()
    assert bill.sent_at is None
    assert "Stripe cannot be reached" in bill.sending_error
    server.faults, server.ahead_seconds = [], later_seconds
    again(bill)
    assert is_whole(bill, server)


def test_without_any_answer_the_sdk_asks_again_and_nothing_is_there_twice(server: StripeServer) -> None:
    bill = owe(payer())
    server.faults = [Fault(0, "POST", "/v1/invoices$", after=True), Fault(0, "POST", "/v1/invoiceitems", after=True)]
    services.send_bills()
    assert is_whole(bill, server)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("later_seconds", [0, 2 * DAY_SECONDS], ids=["soon", "keys forgotten"])
def test_dying_at_any_line_there_is_one_invoice_and_each_item_once(later_seconds: int, server: StripeServer) -> None:
    details = payer()
    bill = owe(details, (1, 2, 3000))
    fresh = {"stripe_invoice": "", "invoice_url": "", "sent_at": None, "sending_tries": 0, "sending_error": ""}

    def begin() -> None:
        server.store.objects = {details.stripe_id: server.store.objects[details.stripe_id]}
        server._kept.clear()
        server.ahead_seconds = 0
        bill.lines.update(stripe_item="")
        Bill.objects.filter(pk=bill.pk).update(**fresh, sending_next_at=timezone.now() - timedelta(seconds=1))

    begin()
    with at_line(WATCHED, 0, die) as lines:
        services.send_bills()
    assert is_whole(bill, server)
    assert lines[0] > 100
    for number in some_of(lines[0]):
        begin()
        try:
            with at_line(WATCHED, number, die):
                services.send_bills()
        except Died:
            reconnect()
        server.ahead_seconds = later_seconds
        if Bill.objects.get(pk=bill.pk).sent_at is None:
            again(bill)
        assert is_whole(bill, server), number


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_at_once_one_sends_it(server: StripeServer) -> None:
    follow_from_here()
    bill = owe(payer())
    sent: list[int] = []

    def send() -> None:
        try:
            sent.append(services.send_bills())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [0, 1]
    assert is_whole(bill, server)


def test_who_was_killed_keeps_it_for_his_lease_only(server: StripeServer) -> None:
    bill = owe(payer())

    def die_here(*args: Any) -> Any:
        raise Died

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(invoices, "add_item", die_here)
        with pytest.raises(Died):
            services.send_bills()
    assert services.send_bills() == 0
    assert services.send_bills(now=timezone.now() + LEASE) == 1
    assert is_whole(bill, server)


def test_what_fails_is_tried_again_at_growing_intervals(server: StripeServer) -> None:
    bill = owe(payer())
    server.faults = [Fault(500, "POST", "/v1/invoices$", times=99)]
    waits = []
    for _ in range(9):
        begun = timezone.now()
        again(bill)
        waits.append(timedelta(seconds=round((bill.sending_next_at - begun).total_seconds())))
    assert waits == sorted(waits)
    assert waits[0] < timedelta(minutes=3)
    assert LONGEST_WAIT <= waits[-1] < LONGEST_WAIT + timedelta(minutes=1)


def test_a_refusal_is_noted_and_tried_again_rarely(server: StripeServer) -> None:
    ada, bob = payer(), payer("bob")
    use(bob.customer_id, 5 * CENT)
    bill = owe(ada)
    other = Bill.objects.get(customer=bob.customer_id)
    server.faults = [Fault(402, "POST", "/v1/invoices$")]
    assert services.send_bills() == 1  # the others are sent
    refused = bill if Bill.objects.get(pk=bill.pk).sent_at is None else other
    refused.refresh_from_db()
    assert refused.sending_error == "Stripe could not process the request. (card_declined)"
    assert refused.sending_next_at > timezone.now() + RARELY - timedelta(minutes=1)
    again(refused)
    assert (refused.sent_at is not None, refused.sending_error) == (True, "")


def test_when_the_time_is_over_the_next_one_goes_on(server: StripeServer) -> None:
    bill = owe(payer(), [10] * 6)
    ends: list[float] = []
    assert services.send_bills(end=time.monotonic()) == 0
    assert invoices_of(server) == []
    while bill.sent_at is None and len(ends) < 50:
        ends.append(_slice(server))
        bill.refresh_from_db()
    assert is_whole(bill, server)
    assert len(ends) > 2


def _slice(server: StripeServer) -> float:
    """A slice in which there is time for two more calls that make something."""
    real, made = time.monotonic, len(server.calls)

    def clock() -> float:
        posts = sum(call.method == "POST" for call in server.calls[made:])
        return real() + (1000 if posts >= 2 else 0)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", clock)
        services.send_bills(end=real() + 500)
    return real()


# --- What others did at Stripe ---------------------------------------------------------------------


def half_sent(server: StripeServer) -> Bill:
    bill = owe(payer(), (1, 2, 3000))
    server.faults = [Fault(500, "POST", ".*/finalize")]
    services.send_bills()
    bill.refresh_from_db()
    return bill


def test_a_draft_that_was_deleted_there_is_made_anew_when_keys_are_forgotten(server: StripeServer) -> None:
    bill = half_sent(server)
    stripe_account().ask(lambda client: client.v1.invoices.delete(bill.stripe_invoice))
    again(bill)
    assert (bill.sent_at, "deleted at Stripe" in bill.sending_error) == (None, True)
    server.ahead_seconds = 2 * DAY_SECONDS
    again(bill)
    assert is_whole(bill, server)


def test_an_item_that_was_deleted_there_is_made_anew_when_keys_are_forgotten(server: StripeServer) -> None:
    bill = half_sent(server)
    item = lines_of(bill)[1].stripe_item
    stripe_account().ask(lambda client: client.v1.invoice_items.delete(item))
    again(bill)
    assert (bill.sent_at, "deleted at Stripe" in bill.sending_error) == (None, True)
    server.ahead_seconds = 2 * DAY_SECONDS
    again(bill)
    assert is_whole(bill, server)


def test_what_others_put_into_the_draft_is_not_charged(server: StripeServer) -> None:
    bill = half_sent(server)
    server.store.new(
        "ii", "invoiceitem", invoice=bill.stripe_invoice, amount=5, metadata={}, customer="cus", description=""
    )
    again(bill)
    assert (bill.sent_at, "not ours" in bill.sending_error) == (None, True)
    assert invoices_of(server)[0]["status"] == "draft"


def test_an_amount_that_others_changed_is_not_charged(server: StripeServer) -> None:
    bill = half_sent(server)
    server.store.objects[lines_of(bill)[0].stripe_item]["amount"] = 7
    again(bill)
    assert (bill.sent_at, "7 cents instead of 1" in bill.sending_error) == (None, True)
    assert invoices_of(server)[0]["status"] == "draft"


def test_what_nobody_foresaw_is_noted_and_keeps_nobody_waiting(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("Authorization: Bearer sk_test_123")

    bill = owe(payer())
    with monkeypatch.context() as patched:
        patched.setattr(invoices, "create", fail)
        services.send_bills()
    bill.refresh_from_db()
    assert bill.sending_error == "RuntimeError: Authorization: Bearer ***"
    again(bill)
    assert is_whole(bill, server)
