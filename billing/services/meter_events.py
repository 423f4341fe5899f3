"""What Stripe's meter is told: for each customer and day how many cents it adds, decided first and sent afterwards.

The values of a month add up to its bill: each is what was metered up to its day, in cents, without what was decided for
the days before; so what changes later, or came to less than nothing, is in the next value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from billing import hours, money, shares, states
from billing.errors import StripeNotConfigured, StripeRefused
from billing.models import Bill, MeterEvent, PaymentDetails, UsageDay
from billing.services.bills import CLOSES_AFTER
from billing.services.sending import AT_ONCE, LEASE, METERS, RARELY, SLICE_SECONDS, told, wait
from billing.stripe import is_configured, meters, stripe_account
from controlplane.core.errors import ControlPlaneError

logger = logging.getLogger("controlplane.billing")
DAY: Final = timedelta(days=1)
TAKEN_FOR: Final = timedelta(days=34)  # Stripe takes 35 days
# Stripe knows an identifier again for a day; after that only the meter's own sum tells whether it came.
KNOWN_FOR: Final = timedelta(hours=23)


# --- Deciding --------------------------------------------------------------------------------------


def decide_meter_events(*, now: datetime | None = None, end: float | None = None) -> int:
    """Decide the values of days that are over, of those who have payment details. How many bills were looked at.

    A month's last day waits for the bill to be final. Bills that were begun so are ended so, whatever
    STRIPE_BILLING says since.
    """
    if not is_configured():
        return 0
    now = now or timezone.now()
    end = time.monotonic() + SLICE_SECONDS if end is None else end
    done = 0
    for bill_id in list(_undecided(now).order_by("month", "pk").values_list("pk", flat=True)):
        if time.monotonic() >= end:
            break
        decide(bill_id, now)
        done += 1
    return done


def _last_over(now: datetime) -> date:
    """The last day that is over, and metered but for what comes late."""
    return (now - CLOSES_AFTER).astimezone(UTC).date() - DAY


def _undecided(now: datetime) -> QuerySet[Bill]:
    begun = Q(metered_to__isnull=False)
    if settings.STRIPE_BILLING == METERS:
        begun |= Q(metered_to=None, stripe_invoice="")
    over = _last_over(now)
    draft = Q(status=states.DRAFT, month__lte=over) & (Q(metered_to=None) | Q(metered_to__lt=over))
    final = Q(status=states.OPEN, sent_at=None, amount__gt=0)
    return Bill.objects.filter(begun, draft | final, customer__payment_details__isnull=False)


def decide(bill_id: int, now: datetime) -> None:
    """Decide the values of a bill's days that are over; all that are left when it is final."""
    with transaction.atomic():
        bill = Bill.objects.select_for_update().get(pk=bill_id)
        last = hours.next_month(bill.month) - DAY
        is_final = bill.status != states.DRAFT
        upto = last if is_final else min(_last_over(now), last - DAY)
        if bill.status not in (states.DRAFT, states.OPEN) or upto < bill.month:
            return
        begin = bill.metered_to + DAY if bill.metered_to else bill.month
        if begin <= upto:
            # What is older than Stripe takes is in the value of the first day that it takes.
            begin = max(begin, min((now - TAKEN_FOR).date(), upto))
            MeterEvent.objects.bulk_create(_values(bill, begin, upto, last if is_final else None, now))
            Bill.objects.filter(pk=bill.pk).update(metered_to=upto)
    _finish(bill.customer_id, bill.month)


def _values(bill: Bill, begin: date, upto: date, final: date | None, now: datetime) -> Iterator[MeterEvent]:
    rows = UsageDay.objects.filter(bill_month=bill.month, customer_id=bill.customer_id)
    exact = dict(rows.values_list("day").annotate(Sum("cost_nano")))
    decided = decided_of(bill.customer_id, bill.month)
    day = begin
    while day <= upto:
        cumulative = sum(cost for at, cost in exact.items() if at <= day)
        cents = bill.amount if day == final else shares.rounded([cumulative], money.CENT)[0]
        if cents > decided:
            # By the bill's uuid: another deployment's events in the same account of Stripe are named otherwise.
            identifier = f"usage-{bill.uuid}-{day}"
            yield MeterEvent(
                customer_id=bill.customer_id, bill_month=bill.month, day=day, value=cents - decided,
                identifier=identifier, decided_at=now, next_at=now,
            )  # fmt: skip
            decided = cents
        day += DAY


def decided_of(customer_id: int, month: date) -> int:
    """How many cents were decided of a month."""
    rows = MeterEvent.objects.filter(customer=customer_id, bill_month=month)
    return rows.aggregate(n=Sum("value", default=0))["n"]  # type: ignore[no-any-return]


def _finish(customer_id: int, month: date) -> None:
    """A final bill is sent when all of its days are."""
    left = MeterEvent.objects.filter(customer=OuterRef("customer"), bill_month=OuterRef("month"), sent_at=None)
    rows = Bill.objects.filter(customer=customer_id, month=month, sent_at=None).exclude(status=states.DRAFT)
    last = hours.next_month(month) - DAY
    rows.filter(~Exists(left), metered_to=last).update(sent_at=timezone.now(), sending_error="")


# --- Sending ---------------------------------------------------------------------------------------


def send_meter_events(*, limit: int = AT_ONCE, end: float | None = None, now: datetime | None = None) -> int:
    """Tell Stripe's meter what was decided, the longest waiting first, until `end` of the monotonic clock. How many."""
    if not is_configured():
        return 0
    end = time.monotonic() + SLICE_SECONDS if end is None else end
    due = MeterEvent.objects.filter(sent_at=None, next_at__lte=now or timezone.now())
    done = 0
    for event in list(due.order_by("next_at", "day")[:limit]):
        if time.monotonic() >= end:
            break
        done += _send(event, now)
    return done


def _send(event: MeterEvent, given: datetime | None) -> bool:
    """Tell of one, unless another is at it; whether Stripe has it."""
    now = given or timezone.now()
    mine = MeterEvent.objects.filter(pk=event.pk, sent_at=None, tries=event.tries, next_at__lte=now)
    values = {"tries": F("tries") + 1, "next_at": now + LEASE}
    if event.first_try_at is None:
        event.first_try_at = values["first_try_at"] = now
    if not mine.update(**values):
        return False
    row = MeterEvent.objects.filter(pk=event.pk, tries=event.tries + 1)
    try:
        _tell(event, now)
    except StripeNotConfigured:
        row.update(next_at=now)
        return False
    except StripeRefused as error:
        row.update(error=told(error), next_at=now + RARELY)
        logger.warning("The meter event %s is not taken by Stripe: %s", event.identifier, told(error))
        return False
    except Exception as error:
        row.update(error=told(error), next_at=now + wait(event.tries))
        if not isinstance(error, ControlPlaneError):
            logger.exception("The meter event %s cannot be sent", event.identifier)
        return False
    MeterEvent.objects.filter(pk=event.pk).update(sent_at=now, error="")
    _finish(event.customer_id, event.bill_month)
    return True


def _tell(event: MeterEvent, now: datetime) -> None:
    account, name = stripe_account(), settings.STRIPE_METER_EVENT
    details = PaymentDetails.objects.filter(customer=event.customer_id).first()
    if details is None:
        raise StripeRefused("There are no payment details any more.")
    if event.first_try_at is not None and now - event.first_try_at > KNOWN_FOR:
        meter = meters.find(account, name)
        begin = datetime.combine(event.day, clock(), UTC)
        # There is one event of a customer's day: the sum is it.
        if meter is not None and meters.total(account, meter, details.stripe_id, begin, begin + DAY):
            return
    meters.send(account, name, event.identifier, details.stripe_id, event.value, moment_of(event.day))


def moment_of(day: date) -> datetime:
    """When on its day the value is said to have come: at noon, UTC."""
    return datetime.combine(day, clock(12), UTC)
