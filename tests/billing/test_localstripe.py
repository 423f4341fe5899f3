"""Customers and webhooks at localstripe: a stand-in for Stripe that others wrote."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.conf import settings

from billing import services, tasks
from billing.errors import PaymentDetailsNotFound, StripeRefused
from billing.models import PaymentDetails, StripeEvent
from billing.stripe import stripe_account
from billing.stripe.payer import Payer
from tests.factories import Person
from tests.postgresql import free_port
from tests.servers import running_server
from tests.waiting import until

pytestmark = pytest.mark.needs("localstripe")
SECRET = "whsec_localstripe"
# Its own command listens on all interfaces, and keeps what it has in a file that all of them share.
RUN = """
import sys
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app
store.dump_to_disk = lambda: None
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
PAYER = Payer(
    name="Ada", email="ada@example.com", phone="+49 1", tax_id="DE123456789", line1="Street 1", city="Berlin",
    country="DE",
)  # fmt: skip


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with running_server([sys.executable, "-c", RUN, str(port)], port, tmp_path_factory.mktemp("localstripe")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def at_localstripe(localstripe: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "sk_test_12345")
    monkeypatch.setattr(settings, "STRIPE_API_BASE", localstripe)
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRETS", [SECRET])
    return localstripe


def test_details_are_made_said_read_and_gone(ada: Person, at_localstripe: str) -> None:
    made = services.make_payment_details(user=ada.user)
    assert services.payment_details_of(user=ada.user) == Payer()
    for payer in (PAYER, replace(PAYER, tax_id="DE987654321"), replace(PAYER, tax_id=None, name="Bob")):
        assert services.set_payment_details(user=ada.user, payer=payer) == replace(payer)
    stripe_account().ask(lambda client: client.v1.customers.delete(made.stripe_id))
    with pytest.raises(PaymentDetailsNotFound):
        services.payment_details_of(user=ada.user)
    assert not PaymentDetails.objects.exists()


def test_a_wrong_key_is_refused(ada: Person, at_localstripe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "nonsense")
    with pytest.raises(StripeRefused):
        services.make_payment_details(user=ada.user)


def test_its_webhooks_are_taken_and_handled(ada: Person, at_localstripe: str) -> None:
    made, came = services.make_payment_details(user=ada.user), list[tuple[bytes, str]]()
    with _receiver(came) as url:
        _configure(at_localstripe, {"url": url, "secret": SECRET})
        changes: Any = {"name": "Ada L."}
        stripe_account().ask(lambda client: client.v1.customers.update(made.stripe_id, changes))
        # Those of the tests before come late.
        ours = b"customer.updated", made.stripe_id.encode()
        until(lambda: any(all(part in body for part in ours) for body, _ in came), "the webhook")
    for body, signature in came:
        services.take_event(body=body, signature=signature)
    for row in StripeEvent.objects.all():
        tasks.handle_stripe_event(row.stripe_id)
    assert not StripeEvent.objects.filter(handled_at=None).exists()
    made.refresh_from_db()
    assert made.name == "Ada L."


class _receiver:  # noqa: N801 - used as a function
    """Meanwhile what is posted comes into `came`, with its signature."""

    def __init__(self, came: list[tuple[bytes, str]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came.append((body, self.headers["Stripe-Signature"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _configure(base: str, webhook: dict[str, str]) -> None:
    request = urllib.request.Request(f"{base}/_config/webhooks/here", json.dumps(webhook).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request).close()
