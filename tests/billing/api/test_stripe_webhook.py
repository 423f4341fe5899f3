"""POST /stripe/webhook/: no session, no token, the signature says who it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from billing import services
from billing.api.stripe.views import MOST_BYTES
from billing.models import StripeEvent
from tests.answers import text_of
from tests.query_budget import within_budget
from tests.stripe_server import StripeServer, event, signed

PATH = "/stripe/webhook/"


def send(body: bytes, signature: str | None = None, path: str = PATH) -> Any:
    headers = {} if signature is None else {"Stripe-Signature": signature}
    return Client(enforce_csrf_checks=True).post(path, body, content_type="application/json", headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize("path", [PATH, "/stripe/webhook"])
def test_a_signed_event_is_taken(server: StripeServer, path: str) -> None:
    body = json.dumps(event("customer.updated", {})).encode()
    with within_budget("POST /stripe/webhook/"):
        answer = send(body, signed(body), path)
    assert (answer.status_code, text_of(answer)) == (200, "Taken.\n")
    assert StripeEvent.objects.count() == 1
    assert send(body, signed(body), path).status_code == 200
    assert StripeEvent.objects.count() == 1


@pytest.mark.django_db
def test_an_unsigned_one_is_refused(server: StripeServer) -> None:
    body = json.dumps(event("customer.updated", {})).encode()
    for signature in (None, "", "t=1,v1=x", signed(body, "whsec_other"), "\xe9"):
        assert send(body, signature).status_code == 400
    assert not StripeEvent.objects.exists()


@pytest.mark.django_db
def test_a_body_has_an_end(server: StripeServer) -> None:
    told = event("customer.updated", {"text": ""})
    room = MOST_BYTES - len(json.dumps(told))
    for more, status in ((0, 200), (1, 413)):
        body = json.dumps(event("customer.updated", {"text": "x" * (room + more)})).encode()
        assert len(body) == MOST_BYTES + more
        assert send(body, signed(body)).status_code == status


def test_without_a_secret_it_is_503_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRETS", [])
    answer = send(b"{}", "t=1,v1=x")
    assert (answer.status_code, text_of(answer)) == (503, "STRIPE_WEBHOOK_SECRET is not set.\n")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_there_is_no_other_method(method: str) -> None:
    assert getattr(Client(), method)(PATH).status_code == 405


@pytest.mark.django_db
def test_what_could_not_be_kept_is_sent_again(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**more: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(services, "take_event", fail)
    client = Client(raise_request_exception=False)
    assert client.post(PATH, b"{}", content_type="application/json").status_code == 500
