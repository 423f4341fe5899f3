"""Events of Stripe: kept once, handled in any order, never believed, tried again and given up in the end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from accounts.models import Standing
from billing import services, tasks
from billing.errors import EventRefused
from billing.models import PaymentDetails, StripeEvent
from billing.services import stripe_events
from billing.services.stripe_events import FIRST_WAIT, HANDLERS, LONGEST_WAIT, MOST_TRIES, handler_of
from tests.factories import Person
from tests.stripe_server import SECRET, Fault, StripeServer, event, signed


def take(told: dict[str, Any]) -> StripeEvent:
    body = json.dumps(told).encode()
    services.take_event(body=body, signature=signed(body))
    return StripeEvent.objects.get(stripe_id=told["id"])


def queued() -> list[tuple[str, Any]]:
    packages = [SignedPackage.loads(each.payload) for each in OrmQ.objects.order_by("pk")]
    return [(each["func"], each["kwargs"]) for each in packages if each["func"].startswith("billing.")]


def handled(row: StripeEvent) -> StripeEvent:
    tasks.handle_stripe_event(row.stripe_id)
    row.refresh_from_db()
    return row


def customer_event(kind: str, details: PaymentDetails, number: int = 1, **about: Any) -> dict[str, Any]:
    return event(kind, {"id": details.stripe_id, "object": "customer", **about}, number)


@pytest.fixture
def details(ada: Person, server: StripeServer) -> PaymentDetails:
    return services.make_payment_details(user=ada.user)


def test_an_event_is_kept_with_the_task_that_handles_it(details: PaymentDetails) -> None:
    told = customer_event("customer.updated", details)
    row = take(told)
    assert (row.type, row.body, row.handled_at, row.tries) == ("customer.updated", told, None, 0)
    assert row.created_at.timestamp() == told["created"]
    assert queued() == [("billing.tasks.handle_stripe_event", {"stripe_id": row.stripe_id})]
    assert settings.TASKS["billing.tasks.handle_stripe_event"] == "work"


def test_what_comes_again_is_kept_once_and_once_handled_not_handled_again(
    details: PaymentDetails, server: StripeServer
) -> None:
    told = customer_event("customer.updated", details)
    handled(take(told))
    calls, before = len(server.calls), len(queued())
    row = handled(take({**told, "type": "customer.deleted"}))
    assert (StripeEvent.objects.count(), row.type, row.tries) == (1, "customer.updated", 1)
    assert (len(server.calls), len(queued())) == (calls, before)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_they_are_handled_what_stripe_says_now_stands(
    order: tuple[int, ...], details: PaymentDetails, server: StripeServer
) -> None:
    customer, rows = server.store.objects[details.stripe_id], []
    for number, name in enumerate(("one", "two", "three")):
        customer["name"] = name
        rows.append(take(customer_event("customer.updated", details, number, name=name)))
    for number in order:
        assert handled(rows[number]).handled_at is not None
        details.refresh_from_db()
        assert details.name == "three"


def test_what_an_event_says_is_not_believed(details: PaymentDetails) -> None:
    assert handled(take(customer_event("customer.deleted", details))).handled_at is not None
    handled(take(customer_event("customer.updated", details, 2, name="Mallory")))
    details.refresh_from_db()
    assert details.name is None


def test_a_customer_deleted_at_stripe_is_forgotten(details: PaymentDetails, server: StripeServer) -> None:
    server.store.objects[details.stripe_id]["deleted"] = True
    # Also when an older event is the first that comes.
    handled(take(customer_event("customer.updated", details)))
    assert not PaymentDetails.objects.exists()
    assert not Standing.objects.get(customer=details.customer).has_payment_details
    assert handled(take(customer_event("customer.deleted", details, 2))).handled_at is not None


@pytest.mark.parametrize(
    "about",
    [{"id": "cus_of_others", "object": "customer"}, {"object": "customer"}, {"object": "card", "customer": None}, {}],
)
def test_what_is_none_of_ours_is_done_without_a_word(about: dict[str, Any], details: PaymentDetails) -> None:
    row = handled(take(event("customer.updated", about)))
    assert (row.handled_at is not None, row.error) == (True, "")


def test_what_is_about_a_part_of_a_customer_reads_the_customer(details: PaymentDetails, server: StripeServer) -> None:
    server.store.objects[details.stripe_id]["phone"] = "+49 2"
    handled(take(event("customer.tax_id.created", {"object": "tax_id", "id": "txi", "customer": details.stripe_id})))
    details.refresh_from_db()
    assert details.phone == "+49 2"


def test_what_nobody_handles_is_done_at_once(details: PaymentDetails, server: StripeServer) -> None:
    calls = len(server.calls)
    assert handled(take(event("price.created", {"object": "price"}))).handled_at is not None
    assert len(server.calls) == calls


def test_the_longest_beginning_of_a_type_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def more(event: StripeEvent) -> None: ...

    monkeypatch.setitem(HANDLERS, "customer.subscription.", more)
    assert handler_of("customer.subscription.created") is more
    assert handler_of("customer.updated") is HANDLERS["customer."]
    assert handler_of("customers") is None


def past(row: StripeEvent) -> None:
    """As if its next try were due."""
    StripeEvent.objects.filter(pk=row.pk).update(next_at=timezone.now())


def test_what_fails_is_tried_again_by_the_schedule_and_given_up_in_the_end(
    details: PaymentDetails, server: StripeServer
) -> None:
    row = take(customer_event("customer.updated", details))
    server.faults = [Fault(500, times=99)]
    for tries in range(1, MOST_TRIES + 1):
        before = timezone.now()
        tasks.handle_left_stripe_events()
        row.refresh_from_db()
        assert (row.tries, row.handled_at) == (tries, None)
        assert "Stripe cannot be reached" in row.error
        wait = row.next_at - before
        assert min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT) <= wait <= LONGEST_WAIT + timedelta(minutes=1)
        tasks.handle_left_stripe_events()  # too early: nothing
        past(row)
    calls = len(server.calls)
    tasks.handle_left_stripe_events()
    assert len(server.calls) == calls
    # Sent again from Stripe's dashboard it is taken up again.
    server.faults = []
    row = handled(take(row.body))
    assert (row.handled_at is not None, row.tries, row.error) == (True, 1, "")


def test_what_a_handler_did_not_foresee_is_noted_and_keeps_nobody_waiting(
    details: PaymentDetails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(event: StripeEvent) -> None:
        raise RuntimeError("Authorization: Bearer sk_test_123")

    monkeypatch.setitem(HANDLERS, "invoice.", fail)
    rows = [take(event("invoice.paid", {}, 1)), take(customer_event("customer.updated", details, 2))]
    tasks.handle_left_stripe_events()
    for row in rows:
        row.refresh_from_db()
    assert rows[0].error == "RuntimeError: Authorization: Bearer ***"
    assert (rows[0].handled_at, rows[1].handled_at is not None) == (None, True)


def test_a_lost_task_is_made_up_for_by_the_schedule(details: PaymentDetails) -> None:
    row = take(customer_event("customer.updated", details))
    OrmQ.objects.all().delete()
    tasks.handle_left_stripe_events()
    row.refresh_from_db()
    assert row.handled_at is not None


def test_while_one_is_at_it_nobody_else_is(details: PaymentDetails, monkeypatch: pytest.MonkeyPatch) -> None:
    row, begun = take(customer_event("customer.updated", details)), list[str]()

    def slow(event: StripeEvent) -> None:
        begun.append(event.stripe_id)
        tasks.handle_stripe_event(event.stripe_id)
        tasks.handle_left_stripe_events()

    monkeypatch.setitem(HANDLERS, "customer.", slow)
    handled(row)
    assert begun == [row.stripe_id]


def refused(body: bytes, signature: str) -> None:
    with pytest.raises(EventRefused):
        services.take_event(body=body, signature=signature)
    assert not StripeEvent.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7}, {"id": ""}, {"id": "x" * 256}, {"type": None}, {"created": "now"}, {"created": 10**20},
        {"object": "v2.core.event"}, {"object": None},
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_though_it_is_signed(
    change: dict[str, Any], server: StripeServer, db: None
) -> None:
    body = json.dumps({**event("customer.updated", {}), **change}).encode()
    refused(body, signed(body))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_refused(body: bytes, server: StripeServer, db: None) -> None:
    refused(body, signed(body))


def test_text_that_databases_refuse_is_kept_without_it(server: StripeServer, db: None) -> None:
    row = take(event("price.created", {"na\0me": ["a\0b", {"c": "\ud800"}]}))
    row.refresh_from_db()
    assert row.body["data"]["object"] == {"na�me": ["a�b", {"c": "�"}]}


BODY = json.dumps(event("customer.updated", {"id": "cus_1", "object": "customer"})).encode()
Sign = Callable[[], str]


@pytest.mark.parametrize(
    "signature",
    [
        lambda: "", lambda: "nonsense", lambda: "t=1,v1=", lambda: signed(BODY, "whsec_other"),
        lambda: signed(BODY + b" "), lambda: signed(BODY, at=timezone.now().timestamp() - 301),
        lambda: signed(BODY).replace("v1=", "v0="), lambda: signed(BODY)[:-1], lambda: signed(BODY) + "é",
        lambda: signed(BODY).replace("t=", "t=9"),
    ],
)  # fmt: skip
def test_what_is_not_signed_for_us_just_now_is_refused(signature: Sign, server: StripeServer, db: None) -> None:
    refused(BODY, signature())


@pytest.mark.parametrize("secret", [SECRET, "whsec_next"])
def test_while_a_secret_is_replaced_both_are_good(
    secret: str, server: StripeServer, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRETS", [SECRET, "whsec_next"])
    services.take_event(body=BODY, signature=f"{signed(BODY, 'whsec_gone')},{signed(BODY, secret).split(',')[1]}")
    assert StripeEvent.objects.count() == 1


def test_without_a_secret_nothing_is_taken(server: StripeServer, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRETS", [])
    refused(BODY, signed(BODY, ""))


def test_old_events_are_forgotten(server: StripeServer, db: None) -> None:
    rows = [take(event("price.created", {}, number)) for number in (1, 2)]
    days = settings.RETENTION_DAYS["stripe_events"]
    for row, age in zip(rows, (days - 1, days + 1), strict=True):
        StripeEvent.objects.filter(pk=row.pk).update(received_at=timezone.now() - timedelta(days=age))
    tasks.forget_stripe_events()
    assert list(StripeEvent.objects.all()) == [rows[0]]
    assert stripe_events.forget_events() == 0
