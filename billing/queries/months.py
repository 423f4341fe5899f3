"""Months: which are closed, and which one is to be closed next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Min, QuerySet, Sum

from billing import states
from billing.models import Bill, ClosedMonth, UsageDay


@dataclass(frozen=True)
class Closing:
    """The oldest open month in which something was used, and what its bills would come to."""

    month: date
    customers: int
    cost_nano: int


def last_closed() -> date | None:
    """The last month whose bills nothing is put on any more."""
    return ClosedMonth.objects.order_by("-month").values_list("month", flat=True).first()


def in_open_months() -> QuerySet[UsageDay]:
    """What customers used that is, or will be, on bills of months that are not closed."""
    closed, used = last_closed(), UsageDay.objects.exclude(customer_id=0)
    return used.filter(bill_month__gt=closed) if closed else used


def next_to_close() -> Closing | None:
    """Ended or not; None: nothing was used since the last one that was closed."""
    used = in_open_months()
    month = used.aggregate(first=Min("bill_month"))["first"]
    if month is None:
        return None
    sums = used.filter(bill_month=month).aggregate(customers=Count("customer_id", distinct=True), cost=Sum("cost_nano"))
    return Closing(month, sums["customers"], sums["cost"])


def bills_by_month(months: Iterable[date]) -> dict[date, tuple[int, int, int]]:
    """Of each month the number of its bills, of those that are drafts yet, and its sum in cents."""
    rows = (
        Bill.objects.filter(month__in=list(months)).values("month", "status").annotate(n=Count("pk"), of=Sum("amount"))
    )
    found: dict[date, tuple[int, int, int]] = {}
    for row in rows:
        count, drafts, amount = found.get(row["month"], (0, 0, 0))
        more = row["n"] if row["status"] == states.DRAFT else 0
        found[row["month"]] = (count + row["n"], drafts + more, amount + row["of"])
    return found
