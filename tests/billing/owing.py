"""Customers who owe something for a month, and what Stripe has of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any, Final

from billing import hours, services
from billing.models import Bill, BillLine, PaymentDetails, UsageKind
from billing.services.ledger import Entry, enter, locked
from billing.stripe.invoices import POSITION
from tests.billing.scene import MONTH
from tests.factories import make_customer_user
from tests.stripe_server import StripeServer

CLOSING: Final = MONTH + timedelta(days=31, hours=7)
CENT: Final = 10**7
_NUMBERS = count(1)


def payer(name: str = "ada") -> PaymentDetails:
    """A customer who pays, at Stripe."""
    return services.make_payment_details(user=make_customer_user(name, f"of {name}").user)


def use(customer_id: int, cost_nano: int, *, at: datetime = MONTH, job_type_id: int | None = 1, **more: Any) -> None:
    """Something was used, and is metered."""
    begun = hours.milliseconds(at)
    kind = {"kind": UsageKind.EXECUTION, "shape": "seed", "owner_id": None, "run_ms": 1000, **more}
    with locked():
        enter(
            [
                Entry(
                    **kind, source_id=next(_NUMBERS), begun_ms=begun, ended_ms=begun + 1000, customer_id=customer_id,
                    cost_nano=cost_nano, job_type_id=job_type_id,
                )
            ]
        )  # fmt: skip


def owe(details: PaymentDetails, cents: Iterable[int] = (120, 80), *, now: datetime = CLOSING) -> Bill:
    """Their bill of the month, open, with a line for each of `cents`."""
    for number, each in enumerate(cents, 1):
        use(details.customer_id, each * CENT, job_type_id=number)
    services.close_month(MONTH.date(), now=now)
    return Bill.objects.get(customer=details.customer_id, month=MONTH.date())


def lines_of(bill: Bill) -> list[BillLine]:
    return list(bill.lines.order_by("position"))


def invoices_of(server: StripeServer) -> list[dict[str, Any]]:
    return server.store.of("invoice")


def items_of(server: StripeServer) -> list[tuple[int, int]]:
    """Position and amount of every item that there is."""
    rows = server.store.of("invoiceitem")
    return sorted((int(each["metadata"][POSITION]), each["amount"]) for each in rows)


def wanted_of(bill: Bill) -> list[tuple[int, int]]:
    return [(line.position, line.amount) for line in lines_of(bill)]


def day(number: int) -> date:
    """A day of the month."""
    return MONTH.date() + timedelta(days=number - 1)


def meter(server: StripeServer, name: str = "compute_cents") -> str:
    """Make Stripe's meter, as docs/payments.md says."""
    from billing.stripe import stripe_account

    made = stripe_account().ask(
        lambda client: client.v1.billing.meters.create(
            {"display_name": "Compute", "event_name": name, "default_aggregation": {"formula": "sum"}}
        )
    )
    return made.id


def metered(server: StripeServer) -> int:
    """The sum of all that Stripe's meter was told."""
    return sum(int(each["payload"]["value"]) for each in server.store.of("billing.meter_event"))
