"""Stripe's meters: what they are told, and what they say they were told."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from billing.errors import StripeRefused
from billing.stripe.payer import DUPLICATE

if TYPE_CHECKING:
    import stripe

    from billing.stripe.client import Stripe


def send(account: Stripe, name: str, identifier: str, stripe_id: str, value: int, at: datetime) -> None:
    """Tell the meter `name` of `value` at a moment of the last 35 days.

    Told again within a day it counts once: Stripe refuses an identifier that it has, which is all that is wanted.
    """
    params: stripe.params.billing.MeterEventCreateParams = {
        "event_name": name, "identifier": identifier, "timestamp": int(at.timestamp()),
        "payload": {"stripe_customer_id": stripe_id, "value": str(value)},
    }  # fmt: skip
    try:
        account.ask(lambda client: client.v1.billing.meter_events.create(params))
    except StripeRefused as error:
        if error.reason != DUPLICATE:
            raise


def find(account: Stripe, name: str) -> str | None:
    """The id of the active meter whose events have this name."""

    def look(client: stripe.StripeClient) -> str | None:
        rows = client.v1.billing.meters.list({"status": "active", "limit": 100}).auto_paging_iter()
        return next((each.id for each in rows if each.event_name == name), None)

    return account.ask(look)


def total(account: Stripe, meter: str, stripe_id: str, begin: datetime, end: datetime) -> int:
    """The sum of a customer's events between two moments (full minutes); what came in the last minutes may be missing.

    Raises StripeRefused, StripeUnavailable.
    """
    params: stripe.params.billing.MeterListEventSummariesParams = {
        "customer": stripe_id, "start_time": int(begin.timestamp()), "end_time": int(end.timestamp()), "limit": 100,
    }  # fmt: skip

    def look(client: stripe.StripeClient) -> float:
        listed = client.v1.billing.meters.event_summaries.list(meter, params)
        return sum(each.aggregated_value for each in listed.auto_paging_iter())

    return round(account.ask(look))
