"""Invoices at Stripe: one for each bill that is sent so, with an item for each of its lines."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from billing.errors import StripeRefused
from billing.stripe.payer import MISSING

if TYPE_CHECKING:
    import stripe

    from billing.stripe.client import Stripe

BILL: Final = "controlplane_bill"  # in Stripe's metadata: which of ours it is
POSITION: Final = "controlplane_position"
CURRENCY: Final = "usd"
DRAFT: Final = "draft"
MOST_ITEMS: Final = 250  # of an invoice
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Invoice:
    """What Stripe says of one: amounts in cents, `bill` the uuid of ours if it names one."""

    id: str
    customer: str
    status: str
    total: int
    currency: str
    url: str
    bill: str
    period_end: datetime
    is_subscription: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A position of an invoice; `key` is the bill's uuid and our position, as far as it names them."""

    id: str
    key: tuple[str, str]
    amount: int


def create(account: Stripe, stripe_id: str, bill: uuid.UUID) -> Invoice:
    """Make an empty draft that Stripe leaves alone. Done again within a day it is the same one."""
    said = {
        "customer": stripe_id, "auto_advance": False, "currency": CURRENCY, "metadata": {BILL: str(bill)},
        "pending_invoice_items_behavior": "exclude",
    }  # fmt: skip
    params = cast("stripe.params.InvoiceCreateParams", said)
    options: stripe.RequestOptions = {"idempotency_key": f"bill-{bill}"}
    return _told(account.ask(lambda client: client.v1.invoices.create(params, options)))


def find(account: Stripe, stripe_id: str, bill: uuid.UUID) -> Invoice | None:
    """The customer's invoice of this bill: by their list, which unlike the search has what was made just now."""

    def look(client: stripe.StripeClient) -> stripe.Invoice | None:
        rows: Iterable[stripe.Invoice] = client.v1.invoices.list(
            {"customer": stripe_id, "limit": _AT_ONCE}
        ).auto_paging_iter()
        return next((each for each in rows if _named(each.metadata, BILL) == str(bill)), None)

    found = account.ask(look)
    return None if found is None else _told(found)


def read(account: Stripe, invoice_id: str) -> Invoice | None:
    """None: it was deleted, or never there."""
    try:
        found = account.ask(lambda client: client.v1.invoices.retrieve(invoice_id))
    except StripeRefused as error:
        if error.reason == MISSING:
            return None
        raise
    return None if getattr(found, "deleted", False) else _told(found)


def add_item(account: Stripe, invoice: Invoice, bill: uuid.UUID, position: int, label: str, amount: int) -> str:
    """Add a position to a draft, and return its id. Done again within a day it is the same one."""
    params: stripe.params.InvoiceItemCreateParams = {
        "customer": invoice.customer, "invoice": invoice.id, "amount": amount, "currency": CURRENCY,
        "description": label, "metadata": {BILL: str(bill), POSITION: str(position)},
    }  # fmt: skip
    options: stripe.RequestOptions = {"idempotency_key": f"bill-{bill}-{position}"}
    return account.ask(lambda client: client.v1.invoice_items.create(params, options)).id


def items(account: Stripe, invoice_id: str) -> list[Item]:
    """All positions of an invoice."""

    def look(client: stripe.StripeClient) -> list[stripe.InvoiceItem]:
        listed = client.v1.invoice_items.list({"invoice": invoice_id, "limit": _AT_ONCE})
        return list(listed.auto_paging_iter())

    return [
        Item(each.id, (_named(each.metadata, BILL), _named(each.metadata, POSITION)), each.amount)
        for each in account.ask(look)
    ]


def finalize(account: Stripe, invoice_id: str) -> Invoice:
    """Have the customer owe it. Without a key of ours: what it is refused for may be put right within a day."""
    return _told(account.ask(lambda client: client.v1.invoices.finalize_invoice(invoice_id)))


def _told(found: stripe.Invoice) -> Invoice:
    parent = found.parent
    return Invoice(
        id=found.id,
        customer=_id(found.customer),
        status=found.status or "",
        total=found.total,
        currency=found.currency,
        url=found.hosted_invoice_url or "",
        bill=_named(found.metadata, BILL),
        period_end=datetime.fromtimestamp(found.period_end, UTC),
        is_subscription=parent is not None and parent.type == "subscription_details",
    )


def _named(metadata: Any, name: str) -> str:
    return str(metadata.to_dict().get(name, "")) if metadata is not None else ""


def _id(customer: object) -> str:
    return customer if isinstance(customer, str) else str(getattr(customer, "id", ""))
