"""What Stripe tells us: kept first, handled afterwards, in any order and as often as it comes.

An event is a reason to look at Stripe, never news by itself: handlers read the object there anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.errors import EventRefused
from billing.models import StripeEvent
from billing.services.invoices import refresh_invoice
from billing.services.payments import refresh
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import ControlPlaneError
from controlplane.core.scrub import scrub
from controlplane.core.unstorable import UNSTORABLE

logger = logging.getLogger("controlplane.billing")
MOST_TRIES: Final = 10  # half a day and more, by the waits below
FIRST_WAIT: Final = timedelta(minutes=2)  # longer than a task may run: meanwhile nobody else takes it
LONGEST_WAIT: Final = timedelta(hours=4)
AT_ONCE: Final = 50
FOR_SECONDS: Final = 30  # of which a task has 60
LONGEST_ID: Final = 255
FORGOTTEN_AT_ONCE: Final = 5000


def _customer(event: StripeEvent) -> None:
    """`customer.updated`, and what is about a part of a customer, such as `customer.tax_id.created`."""
    about = _object(event)
    stripe_id = about.get("id") if about.get("object") == "customer" else about.get("customer")
    if isinstance(stripe_id, str):
        refresh(stripe_id)


def _invoice(event: StripeEvent) -> None:
    """`invoice.paid` and the like."""
    about = _object(event)
    invoice_id = about.get("id")
    if about.get("object") == "invoice" and isinstance(invoice_id, str):
        refresh_invoice(invoice_id)


# By how the type begins; the longest that fits counts. What nobody handles is done at once.
HANDLERS: Final[dict[str, Callable[[StripeEvent], None]]] = {"customer.": _customer, "invoice.": _invoice}


def handler_of(kind: str) -> Callable[[StripeEvent], None] | None:
    fitting = [begins for begins in HANDLERS if kind.startswith(begins)]
    return HANDLERS[max(fitting, key=len)] if fitting else None


def _object(event: StripeEvent) -> dict[str, Any]:
    data = event.body.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    return about if isinstance(about, dict) else {}


# --- Taking ----------------------------------------------------------------------------------------


def take_event(*, body: bytes, signature: str) -> None:
    """Keep an event that Stripe signed, and have it handled. One that was given up is taken up again. Raises
    EventRefused."""
    # The SDK takes a quarter of a second and tens of MiB: only where it is used.
    from billing.stripe.signatures import read_event

    event = _storable(read_event(body, signature, settings.STRIPE_WEBHOOK_SECRETS))
    row = _row(event)
    with transaction.atomic():
        StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
        waiting = StripeEvent.objects.filter(stripe_id=row.stripe_id, handled_at=None)
        if waiting.filter(tries=0).exists() or waiting.filter(tries__gte=MOST_TRIES).update(
            tries=0, next_at=row.next_at
        ):
            enqueue("billing.tasks.handle_stripe_event", stripe_id=row.stripe_id)


def _row(event: dict[str, Any]) -> StripeEvent:
    stripe_id, kind, created = event.get("id"), event.get("type"), event.get("created")
    if not isinstance(stripe_id, str) or not isinstance(kind, str) or not isinstance(created, int):
        raise EventRefused
    if not 0 < len(stripe_id) <= LONGEST_ID or not 0 < len(kind) <= LONGEST_ID:
        raise EventRefused
    try:
        at = datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise EventRefused from error
    now = timezone.now()
    return StripeEvent(stripe_id=stripe_id, type=kind, created_at=at, received_at=now, next_at=now, body=event)


def _storable(value: Any) -> Any:
    """A JSON value, with no text in it that databases refuse."""
    if isinstance(value, str):
        return UNSTORABLE.sub("�", value)
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list) else value


# --- Handling --------------------------------------------------------------------------------------


def handle_event(*, stripe_id: str) -> None:
    """Handle one, unless it is handled, given up, or not to be tried yet. What fails is noted, and tried again."""
    now = timezone.now()
    rows = StripeEvent.objects.filter(stripe_id=stripe_id, handled_at=None, tries__lt=MOST_TRIES, next_at__lte=now)
    event = rows.first()
    if event is None or not rows.filter(tries=event.tries).update(
        tries=F("tries") + 1, next_at=now + _wait(event.tries)
    ):
        return
    row = StripeEvent.objects.filter(pk=event.pk)
    try:
        if (handle := handler_of(event.type)) is not None:
            handle(event)
    except ControlPlaneError as error:
        row.update(error=error.message)
        logger.warning("The event %s (%s) of Stripe waits: %s", stripe_id, event.type, error.message)
    except Exception as error:
        row.update(error=scrub(f"{type(error).__name__}: {error}")[:1000])
        logger.exception("The event %s (%s) of Stripe cannot be handled", stripe_id, event.type)
    else:
        row.update(handled_at=timezone.now(), error="")


def _wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * int(2**tries), LONGEST_WAIT)


def handle_left_events() -> None:
    """Handle those whose task was lost or whose last try failed: the longest waiting first."""
    left = StripeEvent.objects.filter(handled_at=None, tries__lt=MOST_TRIES, next_at__lte=timezone.now())
    end = time.monotonic() + FOR_SECONDS
    for stripe_id in list(left.order_by("next_at").values_list("stripe_id", flat=True)[:AT_ONCE]):
        if time.monotonic() > end:
            return
        handle_event(stripe_id=stripe_id)


def forget_events() -> int:
    """Delete events that came longer ago than they are kept, a bounded number of them. Returns how many."""
    cutoff = timezone.now() - timedelta(days=settings.RETENTION_DAYS["stripe_events"])
    old = StripeEvent.objects.filter(received_at__lt=cutoff).order_by("received_at")
    ids = list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    return StripeEvent.objects.filter(pk__in=ids).delete()[0] if ids else 0
