"""Customers at Stripe: who pays, where bills go, and the page on which people say how they pay."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from billing.errors import StripeRefused
from billing.stripe.payer import ADDRESS, MISSING, Payer
from controlplane.core.unstorable import UNSTORABLE

if TYPE_CHECKING:
    import stripe

    from billing.stripe.client import Stripe

REFERENCE: Final = "controlplane_customer"  # in Stripe's metadata: which of ours it is


def create(account: Stripe, reference: uuid.UUID, metadata: Mapping[str, str]) -> str:
    """Make a customer that is ours by `reference`, and return its id.

    Done again within a day it is the same one, as long as `metadata` is the same.
    """
    told = {REFERENCE: str(reference), **metadata}
    key = f"customer-{reference}"
    return account.ask(lambda client: client.v1.customers.create({"metadata": told}, {"idempotency_key": key})).id


def find(account: Stripe, reference: uuid.UUID) -> str | None:
    """The id of the customer that is ours by `reference`; one that was made in the last minute may not be found."""
    query = f"metadata['{REFERENCE}']:'{reference}'"
    found = account.ask(lambda client: client.v1.customers.search({"query": query})).data
    return min(found, key=lambda each: each.created).id if found else None


def read(account: Stripe, stripe_id: str) -> Payer | None:
    """What the customer says now; None for one that was deleted, or was never there."""
    found = _read(account, stripe_id)
    if found is None:
        return None
    address = found.address
    texts = {name: getattr(address, name, None) for name in ADDRESS} if address else {}
    texts |= {name: getattr(found, name, None) for name in ("name", "email", "phone")}
    kept = _tax_ids(found)
    texts["tax_id"] = kept[-1].value if kept else None
    return Payer(**{name: UNSTORABLE.sub("�", text) if text else None for name, text in texts.items()})


def _read(account: Stripe, stripe_id: str) -> stripe.Customer | None:
    try:
        found = account.ask(lambda client: client.v1.customers.retrieve(stripe_id, {"expand": ["tax_ids"]}))
    except StripeRefused as error:
        if error.reason == MISSING:
            return None
        raise
    return None if getattr(found, "deleted", False) else found


def _tax_ids(found: stripe.Customer) -> list[stripe.TaxId]:
    listed = getattr(found, "tax_ids", None)
    return sorted(listed.data, key=lambda each: each.created) if listed else []


def write(account: Stripe, stripe_id: str, payer: Payer, tax_kind: str | None) -> bool:
    """Have the customer say this and nothing else; False for one that is not there.

    The tax id first: it is what Stripe refuses most, and then nothing has changed. Done again, what was left half done
    is put right.
    """
    found = _read(account, stripe_id)
    if found is None:
        return False
    before = _tax_ids(found)
    wanted = (tax_kind, payer.tax_id) if payer.tax_id else None
    kept = next((each for each in before if (each.type, each.value) == wanted), None)
    if wanted and kept is None:
        added = cast("stripe.params.CustomerTaxIdCreateParams", {"type": tax_kind, "value": payer.tax_id})
        account.ask(lambda client: client.v1.customers.tax_ids.create(stripe_id, added))
    # An empty text takes away what Stripe has.
    address = {name: getattr(payer, name) or "" for name in ADDRESS}
    said = {"name": payer.name or "", "email": payer.email or "", "phone": payer.phone or "", "address": address}
    changes = cast("stripe.params.CustomerUpdateParams", said)
    account.ask(lambda client: client.v1.customers.update(stripe_id, changes))
    for each in before:
        if each is not kept:
            _drop_tax_id(account, stripe_id, each.id)
    return True


def _drop_tax_id(account: Stripe, stripe_id: str, tax_id: str) -> None:
    try:
        account.ask(lambda client: client.v1.customers.tax_ids.delete(stripe_id, tax_id))
    except StripeRefused as error:
        if error.reason != MISSING:
            raise


def portal(account: Stripe, stripe_id: str, return_url: str) -> str:
    """The address of Stripe's page for this customer's cards and bills, good for minutes; it leads to `return_url`."""
    return account.ask(
        lambda client: client.v1.billing_portal.sessions.create({"customer": stripe_id, "return_url": return_url})
    ).url
