"""The comparison finds each kind of difference, once, and lets go of it when it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from accounts.models import Event
from billing import services, tasks
from billing.errors import DifferenceResolved
from billing.models import Bill, BillLine, Difference, DifferenceKind, MeterEvent, UsageDay, UsageRecord
from billing.services import comparing
from billing.stripe import stripe_account
from controlplane.core.errors import InvalidRequest
from tests.billing.owing import CENT, CLOSING, meter, owe, payer, use
from tests.billing.scene import MONTH, follow_from_here
from tests.factories import make_admin
from tests.stripe_server import Fault, StripeServer

pytestmark = pytest.mark.django_db
LATER = CLOSING + timedelta(hours=3)


@pytest.fixture(autouse=True)
def _metered_from_here(server: StripeServer, db: None) -> None:
    follow_from_here()


def compared(**more: Any) -> list[Difference]:
    """What is open when the month has been compared."""
    assert services.compare(MONTH.date(), **more) is None
    return list(Difference.objects.filter(resolved_at=None).order_by("pk"))


@pytest.fixture
def bill(server: StripeServer) -> Bill:
    """One at Stripe."""
    made = owe(payer(), (120, -20, 50))
    services.send_bills()
    made.refresh_from_db()
    return made


@pytest.fixture
def told(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> Bill:
    """One whose days were told to a meter."""
    monkeypatch.setattr(settings, "STRIPE_BILLING", "meters")
    server.set_clock(CLOSING)
    meter(server)
    details = payer()
    use(details.customer_id, 100 * CENT)
    use(details.customer_id, 30 * CENT, at=MONTH + timedelta(days=30))
    services.close_month(MONTH.date(), now=CLOSING)
    services.decide_meter_events(now=CLOSING)
    services.send_meter_events(now=CLOSING)
    return Bill.objects.get()


def test_where_all_is_the_same_nothing_is_found(bill: Bill, server: StripeServer) -> None:
    calls = len(server.calls)
    assert compared() == []
    assert not Difference.objects.exists()
    assert all(call.method == "GET" for call in server.calls[calls:])


def test_also_with_meters(told: Bill) -> None:
    assert told.sent_at is not None
    assert compared(now=LATER) == []


Change = Callable[[Bill, StripeServer], object]


def invoice_of(bill: Bill, server: StripeServer) -> dict[str, Any]:
    return server.store.objects[bill.stripe_invoice]


def item_of(bill: Bill, server: StripeServer, position: int) -> dict[str, Any]:
    return server.store.objects[bill.lines.get(position=position).stripe_item]


def _lose_invoice(bill: Bill, server: StripeServer) -> None:
    del server.store.objects[bill.stripe_invoice]


def _unsend(bill: Bill, server: StripeServer) -> None:
    opened = timezone.now() - timedelta(days=2)
    Bill.objects.update(sent_at=None, opened_at=opened, sending_error="No: because", stripe_invoice="")


def _swap_items(bill: Bill, server: StripeServer) -> None:
    first, second = item_of(bill, server, 1), item_of(bill, server, 3)
    first["amount"], second["amount"] = second["amount"], first["amount"]


def _other_amount(bill: Bill, server: StripeServer) -> None:
    item_of(bill, server, 1)["amount"] = 119


RECORD, DAY = UsageRecord.objects, UsageDay.objects
CHANGES: dict[str, tuple[Change, dict[str, tuple[str, str]]]] = {
    "a record that is not in the sums": (
        lambda bill, server: RECORD.filter(job_type_id=1).update(cost_nano=F("cost_nano") + 1),
        {"records": ("1.5", "1.500000001")},
    ),
    "sums that are on no bill": (
        lambda bill, server: (
            DAY.filter(job_type_id=1).update(cost_nano=0) and RECORD.filter(job_type_id=1).update(cost_nano=0)
        ),
        {"days": ("1.5", "0.3")},
    ),
    "lines that are not the bill": (
        lambda bill, server: BillLine.objects.filter(position=2).update(amount=-21, exact_nano=1),
        {
            "lines": ("1.5, exactly 1.5", "1.49, exactly 1.700000001"),
            "items": ("3 items", "3 other items"),
        },
    ),
    "a bill that is not sent": (_unsend, {"unsent": ("1.5", "0")}),
    "an invoice that is gone": (_lose_invoice, {"invoice": ("", "missing")}),
    "another amount": (
        _other_amount,
        {"amount": ("1.5", "1.49"), "items": ("3 items", "3 other items")},
    ),
    "another currency": (
        lambda bill, server: invoice_of(bill, server).update(currency="eur"),
        {"currency": ("USD", "EUR")},
    ),
    "another state": (
        lambda bill, server: invoice_of(bill, server).update(status="paid"),
        {"status": ("open", "paid")},
    ),
    "other items of the same sum": (_swap_items, {"items": ("3 items", "3 other items")}),
    "an item that is not of the line": (
        lambda bill, server: BillLine.objects.filter(position=1).update(stripe_item="ii_other"),
        {"items": ("3 items", "3 other items")},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_difference_is_found_once_and_let_go_of_when_it_is_gone(
    name: str, bill: Bill, server: StripeServer
) -> None:
    change, wanted = CHANGES[name]
    before = [{**each, "metadata": dict(each.get("metadata", {}))} for each in server.store.objects.values()]
    rows = [(model, list(model.objects.values())) for model in (UsageRecord, UsageDay, BillLine, Bill)]
    change(bill, server)
    for _ in range(2):
        found = {each.kind: (each.ours, each.theirs) for each in compared()}
        if "invoice" in found:
            found["invoice"] = ("", found["invoice"][1])
        assert found == wanted
    first = Difference.objects.order_by("pk")[0]
    assert (first.customer, first.bill_month, first.last_seen > first.first_seen) == (bill.customer, bill.month, True)
    server.store.objects = {each["id"]: each for each in before}
    for model, values in rows:
        for each in values:
            model.objects.filter(pk=each["id"]).update(**each)
    assert compared() == []
    gone = Difference.objects.exclude(resolved_at=None)
    assert {each.kind for each in gone} == set(wanted)
    assert {(each.resolved_by, "gone" in each.note) for each in gone} == {(None, True)}


def test_why_it_is_not_sent_is_told(bill: Bill, server: StripeServer) -> None:
    _unsend(bill, server)
    assert [each.detail for each in compared()] == ["No: because"]


def test_a_bill_of_the_last_day_may_not_be_sent_yet(server: StripeServer) -> None:
    owe(payer())
    assert compared() == []


def _add_event(bill: Bill, server: StripeServer) -> None:
    [first, *_] = server.store.of("billing.meter_event")
    server.store.new(
        "mev", "billing.meter_event", **{name: first[name] for name in first if name not in ("id", "object")}
    )


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_add_event, {"meter": ("1.3", "2.3")}),
        (lambda bill, server: MeterEvent.objects.filter(value=30).update(value=20),
         {"meter": ("1.2", "1.3"), "metered": ("1.3", "1.2")}),
        (lambda bill, server: server.store.objects.pop(server.store.of("billing.meter_event")[0]["id"]),
         {"meter": ("1.3", "0.3")}),
    ],
    ids=["told twice", "decided otherwise", "lost"],
)  # fmt: skip
def test_what_the_meter_has_is_compared(
    change: Change, wanted: dict[str, tuple[str, str]], told: Bill, server: StripeServer
) -> None:
    change(told, server)
    assert {each.kind: (each.ours, each.theirs) for each in compared(now=LATER)} == wanted


def test_what_was_told_just_now_is_not_compared_yet(told: Bill, server: StripeServer) -> None:
    _add_event(told, server)
    assert compared(now=CLOSING + timedelta(minutes=5)) == []


def test_without_the_meter_nothing_is_said_of_it(told: Bill, server: StripeServer) -> None:
    _add_event(told, server)
    server.store.of("billing.meter")[0]["status"] = "inactive"
    assert compared(now=LATER) == []


def test_while_stripe_is_out_of_reach_what_is_open_stays_as_it_is(bill: Bill, server: StripeServer) -> None:
    _other_amount(bill, server)
    assert {each.kind for each in compared()} == {"amount", "items"}
    server.faults = [Fault(500, "GET", times=99)]
    UsageRecord.objects.filter(job_type_id=1).update(cost_nano=0)
    assert {each.kind for each in compared()} == {"amount", "items", "records"}


def test_what_was_used_for_nobody_is_compared_too(server: StripeServer) -> None:
    use(None, 5 * CENT)  # type: ignore[arg-type]
    assert compared() == []
    UsageRecord.objects.update(cost_nano=0)
    for _ in range(2):
        [found] = compared()
    assert (found.customer, found.kind, found.ours, found.theirs) == (None, "records", "0.05", "0")


def test_every_kind_is_found_somewhere() -> None:
    found = {kind for _, wanted in CHANGES.values() for kind in wanted}
    assert found | {"meter", "metered"} == set(DifferenceKind.values)


# --- In slices -------------------------------------------------------------------------------------


def test_it_goes_on_behind_the_last_that_was_looked_at(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 2)
    people = sorted(payer(name).customer_id for name in ("ada", "bob", "cyd"))
    for each in people:
        use(each, 5 * CENT)
    UsageRecord.objects.update(cost_nano=0)
    assert services.compare(MONTH.date(), end=time.monotonic()) == 0
    assert services.compare(MONTH.date(), after=people[0]) is None
    assert sorted(Difference.objects.values_list("customer", flat=True)) == people[1:]
    tasks.compare_month("2026-03-01")
    assert sorted(Difference.objects.values_list("customer", flat=True)) == people


def test_each_month_is_a_task_and_what_is_left_of_it_another(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(payer().customer_id, 5 * CENT)
    Difference.objects.create(kind="amount", bill_month=MONTH.date(), ours="1", theirs="2")
    tasks.compare_bills()
    months = [each["kwargs"]["month"] for each in queued()]
    assert (months[0], len(months)) == ("2026-03-01", 1 + comparing.MONTHS)
    OrmQ.objects.all().delete()
    monkeypatch.setattr(comparing, "SLICE_SECONDS", -1.0)
    tasks.compare_month("2026-03-01")
    assert [each["kwargs"] for each in queued()] == [{"month": "2026-03-01", "after": 0}]


def queued() -> list[dict[str, Any]]:
    packages = [SignedPackage.loads(each.payload) for each in OrmQ.objects.order_by("pk")]
    return [each for each in packages if each["func"] == "billing.tasks.compare_month"]


# --- Resolving -------------------------------------------------------------------------------------


def test_what_was_resolved_is_not_raised_again_until_it_is_another(bill: Bill, server: StripeServer) -> None:
    stripe_account().ask(lambda client: client.v1.invoices.pay(bill.stripe_invoice))
    [found] = compared()
    admin = make_admin().user
    resolved = services.resolve_difference(difference=found, actor=admin, note=" Paid by bank. ")
    assert (resolved.resolved_by, resolved.note) == (admin, "Paid by bank.")
    told = Event.objects.get(kind="difference.resolved")
    assert (told.subject_id, told.actor_id, told.customer_id) == (found.pk, admin.pk, bill.customer_id)
    assert told.after == {"kind": "status", "month": "2026-03", "note": "Paid by bank."}
    assert compared() == []
    invoice_of(bill, server)["status"] = "void"
    assert [(each.kind, each.theirs) for each in compared()] == [("status", "void")]
    assert Difference.objects.count() == 2


def test_it_is_resolved_once_and_with_a_note(bill: Bill) -> None:
    made = Difference.objects.create(kind="amount", customer=bill.customer, bill_month=MONTH.date(), ours="1")
    admin = make_admin().user
    for note in ("", "  ", "a\0", "a" * 256):
        with pytest.raises(InvalidRequest) as refused:
            services.resolve_difference(difference=made, actor=admin, note=note)
        assert refused.value.field == "note"
    services.resolve_difference(difference=made, actor=admin, note="so")
    with pytest.raises(DifferenceResolved):
        services.resolve_difference(difference=made, actor=admin, note="again")
