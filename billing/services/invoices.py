"""What Stripe says of an invoice, kept with the bill that it is of."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from billing import hours, states
from billing.errors import BillState
from billing.models import Bill
from billing.services.bills import move_bill
from billing.stripe import invoices, stripe_account
from billing.stripe.invoices import Invoice

logger = logging.getLogger("controlplane.billing")


def refresh_invoice(invoice_id: str) -> None:
    """Read an invoice from Stripe, and have its bill say the same; one of none of our bills is left alone.

    Raises BillState while the bill of a subscription's invoice is a draft; StripeRefused, StripeUnavailable,
    StripeNotConfigured.
    """
    found = invoices.read(stripe_account(), invoice_id)
    if found is None:
        return
    bill = bill_of(found)
    if bill is not None:
        note_invoice(bill, found)


def bill_of(invoice: Invoice) -> Bill | None:
    """By the invoice's id; by the bill that it names; a subscription's by who pays, and the month that it ends."""
    bill = Bill.objects.filter(stripe_invoice=invoice.id).first()
    if bill is not None:
        return bill
    free = Bill.objects.filter(stripe_invoice="")
    if invoice.bill:
        return free.filter(uuid=invoice.bill, metered_to=None).first() if _is_uuid(invoice.bill) else None
    month = hours.month_of(invoice.period_end - timedelta(seconds=1))
    if not invoice.is_subscription or invoice.period_end != hours.begin(hours.next_month(month)):
        return None
    payer = {"customer__payment_details__stripe_id": invoice.customer}
    return free.filter(**payer, month=month, metered_to__isnull=False, amount__gt=0).first()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def note_invoice(bill: Bill, invoice: Invoice) -> None:
    """Have a bill say what its invoice does. Done again, or with an older answer, it changes nothing.

    Raises BillState for a bill that is a draft still, while the invoice is none.
    """
    rows = Bill.objects.filter(pk=bill.pk, stripe_invoice__in=("", invoice.id))
    if invoice.status == invoices.DRAFT:
        rows.update(stripe_invoice=invoice.id)
        return
    if bill.status == states.DRAFT:
        raise BillState("The bill of this invoice is a draft still.")
    if not rows.update(stripe_invoice=invoice.id, invoice_url=invoice.url, sending_error=""):
        return
    # What goes to a meter is sent when all of its days are.
    Bill.objects.filter(pk=bill.pk, sent_at=None, metered_to=None).update(sent_at=timezone.now())
    if invoice.status in states.SETTLED:
        try:
            move_bill(bill=bill, to=invoice.status, actor=None)
        except BillState as error:
            # An older answer, or somebody's word against Stripe's: the comparison tells them apart.
            logger.warning("Bill %s is not moved to what its invoice %s is: %s", bill.pk, invoice.id, error.message)
