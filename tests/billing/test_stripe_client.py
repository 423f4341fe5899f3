"""The door to Stripe, through the SDK as it is, to a server that is as strict as Stripe."""

from __future__ import annotations

import inspect
import logging
import re
import socket
import uuid

import pytest
import stripe
from django.conf import settings

from billing.errors import StripeNotConfigured, StripeRefused, StripeUnavailable
from billing.stripe import customers, stripe_account
from billing.stripe.client import STRIPE_API_VERSION, Stripe
from billing.stripe.payer import Payer
from billing.stripe.tax_ids import _KINDS, kind_of
from controlplane.core.errors import ControlPlaneError
from tests import stripe_server
from tests.stripe_server import KEY, Fault, StripeServer

HERE = uuid.UUID(int=7)
PAYER = Payer(
    name="Ada", email="ada@example.com", phone="+49 1", tax_id="DE123456789", line1="Street 1", city="Berlin",
    postal_code="10115", country="DE",
)  # fmt: skip

pytestmark = pytest.mark.runs_once("sqlite", "no database")


def made(account: Stripe) -> str:
    return customers.create(account, HERE, {})


def test_every_call_names_our_version_and_carries_the_key_and_nothing_of_how_long_calls_take(
    server: StripeServer,
) -> None:
    stripe_id = made(stripe_account())
    customers.read(stripe_account(), stripe_id)
    assert server.asked() == ["POST /v1/customers", "GET /v1/customers/cus"]
    for call in server.calls:
        assert call.headers["stripe-version"] == STRIPE_API_VERSION
        assert call.headers["authorization"] == f"Bearer {KEY}"
        assert "x-stripe-client-telemetry" not in call.headers


def test_the_version_is_the_one_of_the_sdk_that_is_pinned() -> None:
    """Another SDK has other types: whoever takes a newer one looks at what changed, and says so here."""
    assert stripe.api_version == STRIPE_API_VERSION


def test_what_is_written_is_read_and_what_is_not_said_is_taken_away(server: StripeServer) -> None:
    account = stripe_account()
    stripe_id = made(account)
    assert customers.read(account, stripe_id) == Payer()
    assert customers.write(account, stripe_id, PAYER, "eu_vat")
    assert customers.read(account, stripe_id) == PAYER
    less = Payer(name="Bob", line1="Street 2", city="Bonn", country="DE")
    assert customers.write(account, stripe_id, less, None)
    assert customers.read(account, stripe_id) == less
    assert server.store.of("tax_id") == []


def test_the_same_tax_id_is_left_and_another_takes_its_place(server: StripeServer) -> None:
    account = stripe_account()
    stripe_id = made(account)
    for tax_id, count in (("DE123456789", 1), ("DE123456789", 1), ("DE987654321", 1)):
        customers.write(account, stripe_id, Payer(name="Ada", tax_id=tax_id, country="DE"), "eu_vat")
        assert [each["value"] for each in server.store.of("tax_id")] == [tax_id] * count
    assert server.asked().count("POST /v1/customers/cus/tax_ids") == 2


def test_a_refused_tax_id_leaves_all_as_it_was(server: StripeServer) -> None:
    account = stripe_account()
    stripe_id = made(account)
    customers.write(account, stripe_id, PAYER, "eu_vat")
    with pytest.raises(StripeRefused) as refused:
        customers.write(account, stripe_id, Payer(name="Bob", tax_id="nonsense"), "eu_vat")
    assert (refused.value.reason, refused.value.param) == ("tax_id_invalid", "value")
    assert customers.read(account, stripe_id) == PAYER


def test_a_customer_is_made_once_for_a_reference_and_another_for_another(server: StripeServer) -> None:
    account = stripe_account()
    assert made(account) == made(account)
    assert len(server.customers()) == 1
    assert customers.find(account, HERE) == server.customers()[0]["id"]
    assert customers.find(account, uuid.UUID(int=8)) is None
    customers.create(account, uuid.UUID(int=8), {})
    assert len(server.customers()) == 2


def test_the_same_key_with_other_words_is_refused(server: StripeServer) -> None:
    made(stripe_account())
    with pytest.raises(StripeRefused):
        customers.create(stripe_account(), HERE, {"more": "words"})


def test_what_is_deleted_or_never_was_is_none(server: StripeServer) -> None:
    account = stripe_account()
    stripe_id = made(account)
    account.ask(lambda client: client.v1.customers.delete(stripe_id))
    for gone in (stripe_id, "cus_never"):
        assert customers.read(account, gone) is None
        assert not customers.write(account, gone, PAYER, "eu_vat")


def test_a_lost_answer_is_asked_for_again_and_nothing_is_made_twice(server: StripeServer) -> None:
    server.faults = [Fault(0, "POST", after=True)]
    made(stripe_account())
    assert len(server.calls) == 2
    assert len({call.headers["idempotency-key"] for call in server.calls}) == 1
    assert len(server.customers()) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [(402, StripeRefused), (400, StripeRefused), (403, StripeRefused), (429, StripeUnavailable),
     (409, StripeUnavailable), (500, StripeUnavailable), (503, StripeUnavailable)],
)  # fmt: skip
def test_each_failure_is_refused_or_unavailable(
    status: int, expected: type[ControlPlaneError], server: StripeServer
) -> None:
    server.faults = [Fault(status)]
    with pytest.raises(expected) as raised:
        made(stripe_account())
    assert len(server.calls) == 1  # the server said that it is not to be tried again
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_a_server_error_is_tried_again(server: StripeServer) -> None:
    server.faults = [Fault(503, retry=True)]
    assert made(stripe_account())
    assert len(server.calls) == 2


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setattr(settings, "STRIPE_API_KEY", KEY)
    monkeypatch.setattr(settings, "STRIPE_API_BASE", base)
    with pytest.raises(StripeUnavailable):
        made(stripe_account())


def test_without_a_key_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "")
    with pytest.raises(StripeNotConfigured, match="STRIPE_API_KEY"):
        stripe_account()


def test_a_wrong_key_is_a_refusal_and_told_to_nobody(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "sk_live_51VerySecretIndeed"
    monkeypatch.setattr(settings, "STRIPE_API_KEY", secret)
    with pytest.raises(StripeRefused) as refused:
        made(stripe_account())
    assert "AuthenticationError, status 401" in caplog.text
    assert secret not in caplog.text + str(refused.value) + repr(vars(refused.value))


def test_the_portal_is_opened_for_a_customer(server: StripeServer) -> None:
    account = stripe_account()
    stripe_id = made(account)
    assert customers.portal(account, stripe_id, "https://here.example/").startswith("https://billing.stripe.com/")
    assert server.calls[-1].params == {"customer": stripe_id, "return_url": "https://here.example/"}
    with pytest.raises(StripeRefused):
        customers.portal(account, "cus_never", "https://here.example/")


def test_the_fake_refuses_what_stripe_refuses(server: StripeServer) -> None:
    account = stripe_account()
    for call in (
        lambda client: client.v1.customers.create({"nmae": "Ada"}),
        lambda client: client.v1.customers.create({"address": {"street": "1"}}),
        lambda client: client.v1.customers.create({"email": "nobody"}),
        lambda client: client.v1.customers.search({"query": "name:'Ada'"}),
        lambda client: client.v1.charges.list(),
    ):
        with pytest.raises(StripeRefused):
            account.ask(call)
    with pytest.raises(stripe.InvalidRequestError):
        stripe.StripeClient(KEY, base_addresses={"api": server.base}, stripe_version="newest").v1.customers.list()
    assert stripe_server.nested([("a[0][b]", "1"), ("a[1][b]", "2"), ("c", "")]) == {
        "a": {"0": {"b": "1"}, "1": {"b": "2"}},
        "c": "",
    }


def test_every_kind_of_tax_id_is_one_of_stripes() -> None:
    from stripe.params import _customer_tax_id_create_params as known

    kinds = set(re.findall(r'"([a-z]{2}_[a-z_]+)"', inspect.getsource(known)))
    assert set(_KINDS.values()) <= kinds
    assert all(re.fullmatch("[A-Z]{2}", country) for country in _KINDS)
    assert (kind_of("FR"), kind_of("US"), kind_of("XX")) == ("eu_vat", "us_ein", None)
