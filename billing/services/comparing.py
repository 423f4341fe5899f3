"""Compare what has to be the same: records, sums by day, bills and their lines, and what Stripe has of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from billing import hours, money, states
from billing.errors import StripeNotConfigured, StripeRefused
from billing.models import Bill, Difference, DifferenceKind, MeterEvent, PaymentDetails, UsageDay, UsageRecord
from billing.services.differences import Found, keep
from billing.services.ledger import locked
from billing.services.sending import portions
from billing.stripe import invoices, is_configured, meters, stripe_account
from billing.stripe.invoices import Invoice
from controlplane.core.errors import ControlPlaneError

logger = logging.getLogger("controlplane.billing")
AT_ONCE: Final = 200
SLICE_SECONDS: Final = 20.0
MONTHS: Final = 3
# So long after it became final, and after an event was sent, Stripe may not have it.
SENT_WITHIN: Final = timedelta(days=1)
SUMMED_WITHIN: Final = timedelta(hours=1)
_KINDS: Final = DifferenceKind


@dataclass
class Seen:
    """What is the same and what is not, of one customer's month: the kinds that were looked at, and what was found."""

    kinds: set[str] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)

    def look(self, kind: str, ours: object, theirs: object, detail: str = "") -> bool:
        """Note whether two things are the same."""
        self.kinds.add(kind)
        if ours == theirs:
            return True
        self.found.append(Found(kind, str(ours)[:255], str(theirs)[:255], detail))
        return False


def months_to_compare(now: datetime | None = None) -> list[date]:
    """This month and those before it of which something may still move, and those in which something differed."""
    months = [hours.month_of(now or timezone.now())]
    while len(months) < MONTHS:
        months.append(hours.month_of(hours.begin(months[-1]) - timedelta(days=1)))
    differing = Difference.objects.filter(resolved_at=None).values_list("bill_month", flat=True)
    return sorted({*months, *differing})


def compare(month: date, *, after: int = 0, end: float | None = None, now: datetime | None = None) -> int | None:
    """Compare a month's customers by their ids, those behind `after`, until `end` of the monotonic clock.

    The last one that was looked at, where there are more; None when that were all. What Stripe cannot be asked just
    now is left as it was.
    """
    month, now = month.replace(day=1), now or timezone.now()
    end = time.monotonic() + SLICE_SECONDS if end is None else end
    if not after:
        _compare_nobodys(month)
    while ids := _customers(month, after)[:AT_ONCE]:
        mine = {"bill_month": month, "customer__in": ids}
        records = _sums(UsageRecord.objects.filter(**mine), "customer_id")
        days = _sums(UsageDay.objects.filter(bill_month=month, customer_id__in=ids), "customer_id")
        bills = {bill.customer_id: bill for bill in Bill.objects.filter(month=month, customer__in=ids)}
        for customer_id in ids:
            if time.monotonic() >= end:
                return after
            seen = Seen()
            in_days, in_records = days.get(customer_id, 0), records.get(customer_id, 0)
            if in_days != in_records:
                in_days, in_records = _sums_now(month, customer_id)
            seen.look(_KINDS.RECORDS, money.text(in_days), money.text(in_records))
            bill = bills.get(customer_id)
            if bill is not None and bill.status != states.DRAFT:
                _compare_bill(seen, bill, in_days, now)
            if bill is not None:
                _compare_stripe(seen, bill, now)
            keep(customer_id, month, seen.found, seen.kinds)
            after = customer_id
    return None


def _customers(month: date, after: int) -> list[int]:
    """Those of whom there is anything of the month, by their ids."""
    sources: Iterable[tuple[QuerySet[Any], str]] = (
        (UsageDay.objects.filter(bill_month=month), "customer_id"),
        (UsageRecord.objects.filter(bill_month=month), "customer_id"),
        (Bill.objects.filter(month=month), "customer_id"),
        (Difference.objects.filter(bill_month=month, resolved_at=None), "customer_id"),
    )
    found: set[int] = set()
    for rows, name in sources:
        ids = rows.filter(**{f"{name}__gt": after}).order_by(name).values_list(name, flat=True).distinct()
        found |= set(ids[:AT_ONCE])
    return sorted(found)


def _sums(rows: QuerySet[Any], by: str) -> dict[int, int]:
    return dict(rows.order_by().values_list(by).annotate(Sum("cost_nano")))


def _sums_now(month: date, customer_id: int | None) -> tuple[int, int]:
    """By days and by records, while nobody writes any."""
    rows = (
        UsageDay.objects.filter(bill_month=month, customer_id=customer_id or 0),
        UsageRecord.objects.filter(bill_month=month, customer=customer_id),
    )
    with locked():
        days, records = (each.aggregate(n=Sum("cost_nano", default=0))["n"] for each in rows)
    return days, records


def _compare_nobodys(month: date) -> None:
    """What was used for no customer."""
    seen = Seen()
    days, records = _sums_now(month, None)
    seen.look(_KINDS.RECORDS, money.text(days), money.text(records))
    keep(None, month, seen.found, seen.kinds)


def _compare_bill(seen: Seen, bill: Bill, in_days: int, now: datetime) -> None:
    seen.look(_KINDS.DAYS, money.text(bill.exact_nano), money.text(in_days))
    sums = bill.lines.aggregate(cents=Sum("amount", default=0), exact=Sum("exact_nano", default=0))
    whole = f"{cents(bill.amount)}, exactly {money.text(bill.exact_nano)}"
    seen.look(_KINDS.LINES, whole, f"{cents(sums['cents'])}, exactly {money.text(sums['exact'])}")


def cents(amount: int) -> str:
    return money.text(amount * money.CENT)


# --- Stripe ----------------------------------------------------------------------------------------


def _compare_stripe(seen: Seen, bill: Bill, now: datetime) -> None:
    details = PaymentDetails.objects.filter(customer=bill.customer_id).first()
    is_late = bill.opened_at is not None and bill.opened_at < now - SENT_WITHIN
    is_due = bill.status == states.OPEN and bill.amount > 0 and details is not None
    missing = is_due and bill.sent_at is None and is_late and is_configured()
    seen.look(_KINDS.UNSENT, cents(bill.amount), "0" if missing else cents(bill.amount), bill.sending_error)
    asked: list[Callable[[], None]] = []
    if bill.stripe_invoice and bill.status != states.DRAFT:
        asked.append(lambda: _compare_invoice(seen, bill))
    if bill.metered_to is not None and details is not None:
        asked.append(lambda: _compare_meter(seen, bill, details.stripe_id, now))
    for ask in asked:
        try:
            ask()
        except StripeNotConfigured:
            return
        except ControlPlaneError as error:
            # Neither the same nor another: what is open stays so.
            logger.warning("Bill %s cannot be compared with Stripe's: %s", bill.pk, error.message)


def _compare_invoice(seen: Seen, bill: Bill) -> None:
    found = invoices.read(stripe_account(), bill.stripe_invoice)
    has = "missing" if found is None else bill.stripe_invoice
    if not seen.look(_KINDS.INVOICE, bill.stripe_invoice, has) or found is None:
        return
    if bill.sent_at is None:
        return
    seen.look(_KINDS.AMOUNT, cents(bill.amount), cents(found.total), found.id)
    seen.look(_KINDS.CURRENCY, bill.currency, found.currency.upper(), found.id)
    bill.refresh_from_db(fields=["status"])
    seen.look(_KINDS.STATUS, bill.status, found.status, found.id)
    if bill.metered_to is None:
        _compare_items(seen, bill, found)


def _compare_items(seen: Seen, bill: Bill, invoice: Invoice) -> None:
    ours = sorted((portion.position, portion.amount) for portion in portions(list(bill.lines.order_by("position"))))
    kept = set(bill.lines.values_list("stripe_item", flat=True))
    items = invoices.items(stripe_account(), invoice.id)
    named = [(int(item.key[1]) if item.key[1].isdigit() else 0, item.amount) for item in items]
    only_ours = [each for each in ours if each not in named]
    only_theirs = [each for each in named if each not in ours]
    if sorted(named) == ours and {item.id for item in items} == kept:
        seen.look(_KINDS.ITEMS, "", "")
    else:
        detail = f"{invoice.id}: only ours {_listed(only_ours)}; only Stripe's {_listed(only_theirs)}"
        seen.look(_KINDS.ITEMS, f"{len(ours)} items", f"{len(items)} other items", detail)


def _listed(pairs: Sequence[tuple[int, int]]) -> str:
    told = [f"position {position} of {cents(amount)}" for position, amount in pairs[:20]]
    return ", ".join(told) or "none"


def _compare_meter(seen: Seen, bill: Bill, stripe_id: str, now: datetime) -> None:
    sent = MeterEvent.objects.filter(customer=bill.customer_id, bill_month=bill.month)
    if bill.status != states.DRAFT and bill.metered_to == hours.next_month(bill.month) - timedelta(days=1):
        decided = sent.aggregate(n=Sum("value", default=0))["n"]
        seen.look(_KINDS.METERED, cents(bill.amount), cents(decided), "Values sent cannot be taken back.")
    sure = sent.filter(Q(sent_at=None, first_try_at=None) | Q(sent_at__lt=now - SUMMED_WITHIN))
    if sure.count() != sent.count():
        return  # what was sent just now may not be summed up yet
    account = stripe_account()
    meter = meters.find(account, settings.STRIPE_METER_EVENT)
    if meter is None:
        raise StripeRefused(f"There is no active meter for {settings.STRIPE_METER_EVENT}.")
    begin, end = hours.begin(bill.month), hours.begin(hours.next_month(bill.month))
    theirs = meters.total(account, meter, stripe_id, begin, end)
    ours = sent.filter(sent_at__isnull=False).aggregate(n=Sum("value", default=0))["n"]
    seen.look(_KINDS.METER, cents(ours), cents(theirs))
