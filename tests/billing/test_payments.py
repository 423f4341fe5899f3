"""Who pays: one customer at Stripe for each of ours, whatever goes wrong between there and here."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from accounts import services as accounts
from accounts.models import Customer, Event, Standing
from billing import services
from billing.errors import (
    NoPayer,
    PaymentDetailsExist,
    PaymentDetailsNotFound,
    StripeRefused,
    StripeUnavailable,
)
from billing.models import Bill, PaymentDetails, RegistrationAttempt
from billing.services import payments
from billing.stripe import customers
from billing.stripe.client import Stripe
from billing.stripe.payer import Payer
from controlplane.core.errors import InvalidRequest
from tests.billing.owing import CENT, CLOSING, payer, use
from tests.billing.scene import MONTH, follow_from_here
from tests.factories import Person, make_customer_user, make_operator
from tests.stripe_server import Fault, StripeServer

PAYER = Payer(
    name="Ada", email="ada@example.com", phone="+49 1", tax_id="DE123456789", line1="Street 1", line2="Back yard",
    city="Berlin", state="BE", postal_code="10115", country="DE",
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


def has_details(person: Person) -> bool:
    standing = Standing.objects.filter(customer=person.user.customer).first()
    return standing is not None and standing.has_payment_details


def kinds() -> list[tuple[str, Any]]:
    rows = Event.objects.filter(kind__startswith="payment_details.").order_by("pk")
    return list(rows.values_list("kind", "after"))


def test_they_are_made_once_and_empty(ada: Person, server: StripeServer) -> None:
    assert not has_details(ada)
    made = services.make_payment_details(user=ada.user)
    [customer] = server.customers()
    assert (made.stripe_id, made.owner, made.customer) == (customer["id"], ada.user, ada.user.customer)
    assert customer["metadata"] == {
        "controlplane_customer": str(payments.reference_of(made.customer, 0)),
        "controlplane_deployment": settings.DEPLOYMENT,
        "controlplane_customer_id": str(made.customer_id),
    }
    assert has_details(ada)
    assert services.payment_details_of(user=ada.user) == Payer()
    with pytest.raises(PaymentDetailsExist):
        services.make_payment_details(user=ada.user)
    assert len(server.customers()) == 1
    assert kinds() == [("payment_details.created", {})]


def test_a_first_time_is_one_call(ada: Person, server: StripeServer) -> None:
    services.make_payment_details(user=ada.user)
    assert server.asked() == ["POST /v1/customers"]


@pytest.mark.parametrize("search_lags", [True, False], ids=["by the key", "by the search"])
def test_killed_before_our_commit_the_next_one_takes_up_the_same_customer(
    ada: Person, server: StripeServer, monkeypatch: pytest.MonkeyPatch, search_lags: bool
) -> None:
    def die(*args: Any, **kwargs: Any) -> Any:
        raise Killed

    server.search_lags = search_lags
    with monkeypatch.context() as patched:
        patched.setattr(PaymentDetails.objects, "create", die)
        with pytest.raises(Killed):
            services.make_payment_details(user=ada.user)
    [customer] = server.customers()
    assert not has_details(ada)
    if not search_lags:
        server._kept.clear()  # Stripe forgets keys after a day
    # Whoever of the customer comes next.
    bob = make_customer_user("bob", "acme").user
    assert services.make_payment_details(user=bob).stripe_id == customer["id"]
    assert len(server.customers()) == 1
    assert has_details(ada)


@pytest.mark.parametrize("after", [True, False])
def test_without_an_answer_it_is_unavailable_and_the_next_one_makes_no_second(
    ada: Person, server: StripeServer, after: bool
) -> None:
    server.search_lags = True
    server.faults = [Fault(0, "POST", after=after, times=3)]
    with pytest.raises(StripeUnavailable):
        services.make_payment_details(user=ada.user)
    assert not PaymentDetails.objects.exists()
    services.make_payment_details(user=ada.user)
    assert len(server.customers()) == 1


def test_a_refusal_makes_nothing_here(ada: Person, server: StripeServer) -> None:
    server.faults = [Fault(402)]
    with pytest.raises(StripeRefused):
        services.make_payment_details(user=ada.user)
    assert (PaymentDetails.objects.count(), has_details(ada)) == (0, False)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_at_once_one_makes_them_and_the_other_is_told(server: StripeServer) -> None:
    ada, bob = make_customer_user("ada", "acme").user, make_customer_user("bob", "acme").user
    found: list[object] = []

    def make(user: Any) -> None:
        try:
            found.append(services.make_payment_details(user=user))
        except PaymentDetailsExist as error:
            found.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=make, args=(user,)) for user in (ada, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {type(each) for each in found} == {PaymentDetails, PaymentDetailsExist}
    assert len(server.customers()) == 1


def test_customers_are_told_apart_also_after_the_database_was_emptied(server: StripeServer, db: None) -> None:
    one, other = make_customer_user("ada", "acme").user, make_customer_user("eve", "other").user
    for user in (one, other):
        services.make_payment_details(user=user)
    assert len(server.customers()) == 2
    again = Customer(pk=one.customer.pk, name="new")  # type: ignore[union-attr] # made with one
    assert payments.reference_of(again, 0) != payments.reference_of(one.customer, 0)  # type: ignore[arg-type]


def test_whoever_belongs_to_no_customer_has_nobody_to_pay(server: StripeServer, db: None) -> None:
    with pytest.raises(NoPayer):
        services.make_payment_details(user=make_operator().user)
    assert server.calls == []


@pytest.mark.parametrize("who", ["colleague", "stranger"])
def test_they_are_their_makers_alone(ada: Person, server: StripeServer, who: str) -> None:
    services.make_payment_details(user=ada.user)
    other = make_customer_user(who, "acme" if who == "colleague" else "other").user
    calls = len(server.calls)
    for ask in (
        lambda: services.payment_details_of(user=other),
        lambda: services.set_payment_details(user=other, payer=PAYER),
        lambda: services.portal_link(user=other, return_url="x"),
    ):
        with pytest.raises(PaymentDetailsNotFound):
            ask()
    assert len(server.calls) == calls


def test_what_is_said_stands_at_stripe_and_here(ada: Person, server: StripeServer) -> None:
    made = services.make_payment_details(user=ada.user)
    assert services.set_payment_details(user=ada.user, payer=PAYER) == PAYER
    [customer] = server.customers()
    assert (customer["name"], customer["address"]["city"]) == ("Ada", "Berlin")
    made.refresh_from_db()
    assert (made.name, made.tax_id, made.country, made.line2) == ("Ada", "DE123456789", "DE", "Back yard")
    assert services.payment_details_of(user=ada.user) == PAYER
    changed = replace(PAYER, city="Bonn", phone=None, line2=None)
    assert services.set_payment_details(user=ada.user, payer=changed) == changed
    assert [after for _, after in kinds()][1:] == [
        {"fields": ["name", "email", "phone", "tax_id", "line1", "line2", "city", "state", "postal_code", "country"]},
        {"fields": ["phone", "line2", "city"]},
    ]
    # The log says which, never what.
    assert "Bonn" not in str(list(Event.objects.values_list("before", "after")))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"), ({"name": "x" * 257}, "name"), ({"city": None}, "city"), ({"phone": "1" * 21}, "phone"),
        ({"line1": "a\0b"}, "line1"), ({"line2": "\ud800"}, "line2"), ({"tax_id": "nonsense"}, "tax_id"),
        ({"country": "AQ"}, "tax_id"), ({"email": "nobody"}, "email"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_changes_nothing(
    change: dict[str, Any], field: str, ada: Person, server: StripeServer
) -> None:
    services.make_payment_details(user=ada.user)
    services.set_payment_details(user=ada.user, payer=PAYER)
    with pytest.raises(InvalidRequest) as refused:
        services.set_payment_details(user=ada.user, payer=replace(PAYER, **change))
    assert refused.value.field == field
    assert services.payment_details_of(user=ada.user) == PAYER


@pytest.mark.parametrize("call", ["POST /v1/customers/.*/tax_ids", "POST /v1/customers/[^/]*$", "GET /v1/customers/"])
@pytest.mark.parametrize("after", [True, False])
def test_half_written_it_is_put_right_by_the_next_one(
    call: str, after: bool, ada: Person, server: StripeServer
) -> None:
    services.make_payment_details(user=ada.user)
    services.set_payment_details(user=ada.user, payer=PAYER)
    method, _, path = call.partition(" ")
    server.faults = [Fault(500, method, path, after=after)]
    wanted = replace(PAYER, name="Bob", tax_id="DE987654321")
    with pytest.raises(StripeUnavailable):
        services.set_payment_details(user=ada.user, payer=wanted)
    assert services.set_payment_details(user=ada.user, payer=wanted) == wanted
    assert [each["value"] for each in server.store.of("tax_id")] == ["DE987654321"]


def test_gone_at_stripe_it_is_gone_here_and_the_next_one_is_another(ada: Person, server: StripeServer) -> None:
    first = services.make_payment_details(user=ada.user).stripe_id
    server.store.objects[first]["deleted"] = True
    with pytest.raises(PaymentDetailsNotFound):
        services.payment_details_of(user=ada.user)
    assert not has_details(ada)
    second = services.make_payment_details(user=ada.user).stripe_id
    assert second != first
    assert has_details(ada)
    assert RegistrationAttempt.objects.get().generation == 1
    server.store.objects[second]["deleted"] = True
    with pytest.raises(PaymentDetailsNotFound):
        services.set_payment_details(user=ada.user, payer=PAYER)
    assert not has_details(ada)


def test_what_was_read_before_is_not_written_over_what_was_read_since(
    ada: Person, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = services.make_payment_details(user=ada.user)
    [customer] = server.customers()
    customer["name"] = "old"
    read, reads = customers.read, list[str | None]()

    def late(account: Any, stripe_id: str) -> Payer | None:
        payer = read(account, stripe_id)
        reads.append(payer.name if payer else None)
        if len(reads) == 1:  # between this answer and our copy somebody else is faster
            customer["name"] = "new"
            payments.refresh(stripe_id)
        return payer

    monkeypatch.setattr(customers, "read", late)
    found = payments.refresh(made.stripe_id)
    assert reads == ["old", "new", "new"]
    made.refresh_from_db()
    assert (found and found.name, made.name) == ("new", "new")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_call_is_made_inside_a_transaction(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = make_customer_user("ada", "acme").user
    inside, ask = list[bool](), Stripe.ask

    def noted(self: Stripe, call: Any) -> Any:
        inside.append(connection.in_atomic_block)
        return ask(self, call)

    monkeypatch.setattr(Stripe, "ask", noted)
    services.make_payment_details(user=ada)
    services.set_payment_details(user=ada, payer=PAYER)
    services.payment_details_of(user=ada)
    assert len(inside) > 4
    assert not any(inside)


@pytest.mark.parametrize(
    ("return_url", "expected"),
    [
        ("https://ours.example/", True), ("https://ours.example", True), ("https://front.example/billing?x=1", True),
        ("https://ours.example.evil/", False), ("https://evil.example/", False), ("", False),
        ("javascript:alert(1)", False), ("https://ours.example/\0", False),
    ],
)  # fmt: skip
def test_the_page_leads_back_to_us_only(
    return_url: str, expected: bool, ada: Person, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ACCOUNT_URL", "https://ours.example")
    monkeypatch.setattr(settings, "CORS_ALLOWED_ORIGINS", ["https://front.example"])
    services.make_payment_details(user=ada.user)
    if expected:
        assert services.portal_link(user=ada.user, return_url=return_url).startswith("https://billing.stripe.com/")
    else:
        with pytest.raises(InvalidRequest) as refused:
            services.portal_link(user=ada.user, return_url=return_url)
        assert refused.value.field == "return_url"


def test_an_account_that_is_closed_leaves_who_pays_at_stripe_and_nothing_of_them_here(
    ada: Person, server: StripeServer
) -> None:
    """Bills are still to be paid."""
    made = services.make_payment_details(user=ada.user)
    services.set_payment_details(user=ada.user, payer=PAYER)
    john = make_customer_user("john", "other")
    services.make_payment_details(user=john.user)
    services.set_payment_details(user=john.user, payer=PAYER)
    accounts.close_account(ada.user)
    assert services.forget_payers() == 1
    payments.refresh(made.stripe_id)  # as when Stripe tells that something was changed there
    assert services.forget_payers() == 0
    kept = PaymentDetails.objects.get(owner=ada.user)
    assert {name: getattr(kept, name) for name in asdict(PAYER)} == dict.fromkeys(asdict(PAYER))
    assert PaymentDetails.objects.get(owner=john.user).name == PAYER.name
    assert has_details(ada)
    assert kept.stripe_id == made.stripe_id
    assert {each["name"] for each in server.customers()} == {"Ada"}
    told = Event.objects.filter(kind="payment_details.changed", owner=ada.user).latest("pk")
    assert told.after == {"fields": list(asdict(PAYER))}


def test_what_was_used_before_an_account_was_closed_is_billed_and_sent(server: StripeServer, db: None) -> None:
    follow_from_here()
    details = payer("grace")
    use(details.customer_id, 120 * CENT)
    services.draw_up_drafts()
    accounts.close_account(details.owner)
    services.forget_payers()
    use(details.customer_id, 80 * CENT)  # what ran until it was stopped
    services.close_month(MONTH.date(), now=CLOSING)
    assert services.send_bills() == 1
    bill = Bill.objects.get(customer=details.customer_id)
    assert (bill.status, bill.amount, bill.sent_at is not None) == ("open", 200, True)
    [invoice] = server.store.of("invoice")
    assert (invoice["customer"], invoice["status"]) == (details.stripe_id, "open")
    services.move_bill(bill=bill, to="paid", actor=None)
    assert Bill.objects.get(pk=bill.pk).status == "paid"
