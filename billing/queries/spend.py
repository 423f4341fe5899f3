"""What a month comes to, by day and by customer: from the sums by day alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Max, Min, Sum

from accounts.models import Customer
from billing.models import UsageDay

MOST: Final = 100  # customers


@dataclass(frozen=True)
class OfCustomer:
    """What a customer spent; without one it is nobody's."""

    customer: Customer | None
    cost_nano: int
    records: int


@dataclass(frozen=True)
class Spend:
    """All of it in billionths of a dollar. `by_day` is of the whole month, the rest of the day if one is asked for.

    `others_nano` is what the customers come to that are not among the first `MOST`; None: there are no others.
    """

    by_day: dict[date, int]
    by_customer: list[OfCustomer]
    others_nano: int | None
    total_nano: int


def spend_of(month: date, day: date | None = None) -> Spend:
    """What is on the bills of a month, or of it what was used on a day. In three statements."""
    rows = UsageDay.objects.filter(bill_month=month)
    by_day = dict(rows.values_list("day").annotate(cost=Sum("cost_nano")).order_by("day"))
    total = by_day.get(day, 0) if day else sum(by_day.values())
    of = rows.filter(day=day) if day else rows
    sums = of.values_list("customer_id").annotate(cost=Sum("cost_nano"), count=Sum("records"))
    found = list(sums.order_by("-cost", "customer_id")[: MOST + 1])
    shown = found[:MOST]
    names = Customer.objects.in_bulk([customer_id for customer_id, _, _ in shown])
    return Spend(
        by_day=by_day,
        by_customer=[OfCustomer(names.get(customer_id), cost, count) for customer_id, cost, count in shown],
        others_nano=total - sum(cost for _, cost, _ in shown) if len(found) > MOST else None,
        total_nano=total,
    )


def months_used() -> tuple[date, date] | None:
    """The first and the last month on whose bills there is something."""
    ends = UsageDay.objects.aggregate(first=Min("bill_month"), last=Max("bill_month"))
    return (ends["first"], ends["last"]) if ends["first"] else None
