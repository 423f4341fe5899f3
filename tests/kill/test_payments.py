"""Payments with real processes: killed between Stripe's work and ours there is one customer, and events are handled."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests import stripe_server
from tests.deployment import Deployment, Factory
from tests.stripe_server import KEY, SECRET, Fault, StripeServer, event, signed
from tests.waiting import until

DETAILS = "/api/v1/payments/details"
OWNER = """
from accounts import services
user = services.create_user(username="ada", role="customer", actor=None, customer="acme")
print(services.issue_token(user=user, actor=None))
"""


def deployed(deployment: Factory, server: StripeServer) -> Deployment:
    return deployment(STRIPE_API_KEY=KEY, STRIPE_API_BASE=server.base, STRIPE_WEBHOOK_SECRET=SECRET)


def call(place: Deployment, method: str, path: str, token: str = "", body: bytes | None = None, **headers: str) -> Any:
    """The status, and the body."""
    said = {"Content-Type": "application/json", **headers}
    if token:
        said["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(place.base_url + path, body, said, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def kill_web_workers(place: Deployment) -> None:
    """SIGKILL, all but the one that starts them anew."""
    for process in place.processes():
        with suppress(psutil.NoSuchProcess):
            parent = process.parent()
            if "gunicorn" in " ".join(process.cmdline()) and parent and "gunicorn" in " ".join(parent.cmdline()):
                process.kill()


def answered(ask: Callable[[], Any], status: int) -> bool:
    """Whether it answers so; a worker that is being started anew answers nothing."""
    with suppress(OSError, http.client.HTTPException):
        return bool(ask()[0] == status)
    return False


def test_killed_between_stripes_answer_and_our_commit_there_is_one_customer(deployment: Factory) -> None:
    with stripe_server.running() as server:
        place = deployed(deployment, server)
        token = place.run_manage("shell", "-c", OWNER).strip().splitlines()[-1]
        place.start_web()
        server.faults = [Fault(0, "POST", after=True, then=lambda: kill_web_workers(place))]
        server.search_lags = True
        with suppress(OSError, http.client.HTTPException):
            call(place, "POST", DETAILS, token)
        [customer] = server.customers()
        assert place.rows("SELECT count(*) FROM billing_registrationattempt") == [(1,)]
        assert place.rows("SELECT count(*) FROM billing_paymentdetails") == [(0,)]
        until(lambda: answered(lambda: call(place, "POST", DETAILS, token), 201), "details")
        assert place.rows("SELECT stripe_id FROM billing_paymentdetails") == [(customer["id"],)]
        assert [each["id"] for each in server.customers()] == [customer["id"]]
        assert call(place, "GET", DETAILS, token)[0] == 200


def test_an_event_that_the_web_server_takes_is_handled_by_the_worker(deployment: Factory) -> None:
    with stripe_server.running() as server:
        place = deployed(deployment, server)
        token = place.run_manage("shell", "-c", OWNER).strip().splitlines()[-1]
        place.start_web()
        place.start_manage("work")
        assert call(place, "POST", DETAILS, token)[0] == 201
        [customer] = server.customers()
        customer["name"] = "Ada"
        body = json.dumps(event("customer.updated", customer)).encode()
        headers = {"Stripe-Signature": signed(body)}
        assert call(place, "POST", "/stripe/webhook/", body=body, **headers) == (200, b"Taken.\n")
        until(lambda: place.rows("SELECT name FROM billing_paymentdetails") == [("Ada",)], "the copy", 60)
        until(
            lambda: place.rows("SELECT count(*) FROM billing_stripeevent WHERE handled_at IS NOT NULL") == [(1,)],
            "the event",
        )
        assert KEY not in place.logs(10**6)
        assert SECRET not in place.logs(10**6)


BILL = """
from datetime import UTC, datetime
from accounts.models import Customer
from billing import services
from billing.services.ledger import Entry, enter, locked
from billing import hours
[customer] = Customer.objects.filter(name="acme")
begun = hours.milliseconds(datetime(2026, 3, 1, tzinfo=UTC))
same = {"shape": "seed", "customer_id": customer.pk, "owner_id": None, "run_ms": 1000}
with locked():
    enter([
        Entry("execution", 10**9 + n, begun, begun + 1000, cost_nano=n * 10**9, job_type_id=n, **same)
        for n in range(1, 4)
    ])
services.close_months()
"""


def kill_workers(place: Deployment) -> None:
    """SIGKILL, all of the background workers' processes that have no child."""
    for process in place.processes():
        with suppress(psutil.NoSuchProcess):
            if "work" in process.cmdline() and not process.children():
                process.kill()


@pytest.mark.parametrize("path", ["/v1/invoices$", "/v1/invoiceitems$", ".*/finalize$"])
def test_killed_while_a_bill_is_sent_there_is_one_invoice_and_each_item_once(path: str, deployment: Factory) -> None:
    with stripe_server.running() as server:
        place = deployed(deployment, server)
        token = place.run_manage("shell", "-c", OWNER).strip().splitlines()[-1]
        place.start_web()
        assert call(place, "POST", DETAILS, token)[0] == 201
        place.run_manage("shell", "-c", BILL)
        killed: list[int] = []

        def kill() -> None:
            killed.append(1)
            kill_workers(place)

        server.faults = [Fault(0, "POST", path, after=True, then=kill)]
        place.start_manage("work")
        until(lambda: bool(killed), "that it is being sent", 60)
        # As if the lease had run out and the next minute had come.
        until(lambda: _is_sent(place), "the bill", 90)
        [invoice] = server.store.of("invoice")
        amounts = sorted(each["amount"] for each in server.store.of("invoiceitem"))
        assert (invoice["status"], amounts) == ("open", [100, 200, 300])
        assert place.rows("SELECT stripe_invoice, sending_error FROM billing_bill") == [(invoice["id"], "")]


def _is_sent(place: Deployment) -> bool:
    """Whether it is; if not, its lease is over and it is looked for at once."""
    if place.rows("SELECT count(*) FROM billing_bill WHERE sent_at IS NOT NULL") == [(1,)]:
        return True
    place.run_manage("shell", "-c", AT_ONCE)
    return False


AT_ONCE = """
from django.utils import timezone
from billing.models import Bill
from controlplane.core.enqueue import enqueue
Bill.objects.filter(sending_next_at__gt=timezone.now()).update(sending_next_at=timezone.now())
enqueue("billing.tasks.send_bills")
"""
