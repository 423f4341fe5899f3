"""Final bills, sent to Stripe as invoices: each once, whenever whoever sends them is killed.

Who sends a bill has noted so before, for longer than a task may run; nobody else takes it meanwhile. Stripe is called
outside of transactions, and whoever takes up a bill that was tried before looks first for what is there.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from billing import states
from billing.errors import StripeDiffers, StripeNotConfigured, StripeRefused
from billing.models import Bill, BillLine
from billing.services.invoices import note_invoice
from billing.stripe import invoices, is_configured, stripe_account
from billing.stripe.invoices import Invoice
from controlplane.core.errors import ControlPlaneError
from controlplane.core.scrub import scrub

if TYPE_CHECKING:
    from billing.stripe.client import Stripe as Account

logger = logging.getLogger("controlplane.billing")
INVOICE_ITEMS: Final = "invoice-items"
METERS: Final = "meters"
AT_ONCE: Final = 200
SLICE_SECONDS: Final = 20.0
LEASE: Final = timedelta(minutes=2)  # longer than a task may run
FIRST_WAIT: Final = timedelta(minutes=2)
LONGEST_WAIT: Final = timedelta(hours=4)
RARELY: Final = timedelta(hours=25)  # when Stripe has forgotten our idempotency keys, and what it answered to them


class OutOfTime(Exception):
    """The slice of time is over; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Portion:
    """An item to be: of one line, or of those that an invoice has no room for."""

    position: int
    label: str
    amount: int
    lines: tuple[int, ...]


def send_bills(*, limit: int = AT_ONCE, end: float | None = None, now: datetime | None = None) -> int:
    """Send open bills of those who have payment details, the longest waiting first, until `end` of the monotonic clock.

    How many were sent. Bills of nothing or less are not sent.
    """
    if not is_configured() or settings.STRIPE_BILLING != INVOICE_ITEMS:
        return 0
    end = time.monotonic() + SLICE_SECONDS if end is None else end
    due = to_send(now or timezone.now()).filter(customer__payment_details__isnull=False)
    done = 0
    for bill in list(due.select_related("customer__payment_details").order_by("sending_next_at")[:limit]):
        if time.monotonic() >= end:
            break
        done += _send(bill, end, now)
    return done


def to_send(now: datetime) -> QuerySet[Bill]:
    """Open bills that are not at Stripe, and that nobody is sending."""
    rows = Bill.objects.filter(status=states.OPEN, sent_at__isnull=True, amount__gt=0, metered_to=None)
    return rows.filter(sending_next_at__lte=now)


def _send(bill: Bill, end: float, given: datetime | None) -> bool:
    """Send a bill, unless another is at it; whether it is all there."""
    now = given or timezone.now()
    mine = to_send(now).filter(pk=bill.pk, sending_tries=bill.sending_tries)
    if not mine.update(sending_tries=F("sending_tries") + 1, sending_next_at=now + LEASE):
        return False
    row = Bill.objects.filter(pk=bill.pk, sending_tries=bill.sending_tries + 1)
    try:
        _bring(bill, bill.customer.payment_details.stripe_id, end)
    except (OutOfTime, StripeNotConfigured):
        row.update(sending_next_at=now)
        return False
    except (StripeRefused, StripeDiffers) as error:
        row.update(sending_error=told(error), sending_next_at=now + RARELY)
        logger.warning("The bill %s is not taken by Stripe: %s", bill.pk, told(error))
        return False
    except ControlPlaneError as error:
        row.update(sending_error=error.message, sending_next_at=now + wait(bill.sending_tries))
        return False
    except Exception as error:
        row.update(sending_error=told(error), sending_next_at=now + wait(bill.sending_tries))
        logger.exception("The bill %s cannot be sent", bill.pk)
        return False
    return True


def wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * int(2 ** min(tries, 10)), LONGEST_WAIT)


def told(error: Exception) -> str:
    """What staff read of it."""
    if isinstance(error, StripeRefused):
        named = ", ".join(word for word in (error.reason, error.param) if word)
        return f"{error.message} ({named})" if named else error.message
    if isinstance(error, ControlPlaneError):
        return error.message
    return scrub(f"{type(error).__name__}: {error}")[:1000]


# --- One bill --------------------------------------------------------------------------------------


def _bring(bill: Bill, stripe_id: str, end: float) -> None:
    """Have it be at Stripe as an invoice that is open, whatever of it is there already."""
    account = stripe_account()
    invoice, is_new = _invoice(account, bill, stripe_id, end)
    if invoice.status == invoices.DRAFT:
        _put_items(account, bill, invoice, is_new, end)
        _demand_time(end)
        invoice = invoices.finalize(account, invoice.id)
    note_invoice(bill, invoice)


def _invoice(account: Account, bill: Bill, stripe_id: str, end: float) -> tuple[Invoice, bool]:
    """Its invoice, and whether it was made just now."""
    found = None
    if bill.stripe_invoice:
        found = invoices.read(account, bill.stripe_invoice)
        if found is None:
            _forget(bill)
    if found is None and bill.sending_tries:
        _demand_time(end)
        found = invoices.find(account, stripe_id, bill.uuid)
    is_new = found is None and not bill.sending_tries
    if found is None:
        _demand_time(end)
        found = invoices.create(account, stripe_id, bill.uuid)
    if found.id != bill.stripe_invoice:
        Bill.objects.filter(pk=bill.pk, sent_at=None).update(stripe_invoice=found.id)
    return found, is_new


def _forget(bill: Bill) -> None:
    """Somebody deleted the draft at Stripe."""
    with transaction.atomic():
        Bill.objects.filter(pk=bill.pk, stripe_invoice=bill.stripe_invoice).update(stripe_invoice="")
        BillLine.objects.filter(bill=bill).update(stripe_item="")
    bill.stripe_invoice = ""


def _put_items(account: Account, bill: Bill, invoice: Invoice, is_new: bool, end: float) -> None:
    """Add what the draft does not have of the bill's lines. Raises StripeDiffers when it has something else."""
    _demand_time(end)
    there = {} if is_new else _there(account, bill.uuid, invoice.id)
    added: set[int] = set()
    wanted = portions(list(bill.lines.order_by("position")))
    for portion in wanted:
        item = there.pop(portion.position, None)
        if item is not None and item[1] != portion.amount:
            raise StripeDiffers(
                f"Position {portion.position} of the draft is {item[1]} cents instead of {portion.amount}."
            )
        item_id = item[0] if item is not None else ""
        if item is None:
            _demand_time(end)
            item_id = invoices.add_item(account, invoice, bill.uuid, portion.position, portion.label, portion.amount)
            added.add(portion.position)
        BillLine.objects.filter(pk__in=portion.lines).update(stripe_item=item_id)
    if there:
        raise StripeDiffers("The draft has positions that the bill does not have.")
    # A key of the last day says again what it made, also when somebody has deleted that.
    if added and not is_new and not added <= set(_there(account, bill.uuid, invoice.id)):
        raise StripeDiffers("Positions of the draft were deleted at Stripe.")


def _there(account: Account, bill: uuid.UUID, invoice_id: str) -> dict[int, tuple[str, int]]:
    """Id and amount of each position that is there."""
    found: dict[int, tuple[str, int]] = {}
    for item in invoices.items(account, invoice_id):
        named, position = item.key
        if named != str(bill) or not position.isdigit() or int(position) in found:
            raise StripeDiffers(f"The draft has an item that is not ours, or twice: {item.id}.")
        found[int(position)] = (item.id, item.amount)
    return found


def portions(lines: Sequence[BillLine]) -> list[Portion]:
    """An item for each line; where an invoice has no room for all of them, the last one is of the rest."""
    room = invoices.MOST_ITEMS if len(lines) <= invoices.MOST_ITEMS else invoices.MOST_ITEMS - 1
    made = [Portion(line.position, line.label, line.amount, (line.pk,)) for line in lines[:room]]
    if rest := lines[room:]:
        amount = sum(line.amount for line in rest)
        label = f"{len(rest)} more positions"
        made.append(Portion(rest[0].position, label, amount, tuple(line.pk for line in rest)))
    return made


def _demand_time(end: float) -> None:
    if time.monotonic() >= end:
        raise OutOfTime
