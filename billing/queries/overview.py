"""What the front page says of money: what a day costs, budgets, bills that nobody pays, differences."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from django.db.models import F, FloatField, QuerySet, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.models import User
from billing import states
from billing.models import Bill, Budget, Difference, UsageDay
from billing.queries.budgets import visible_budgets

OVERDUE_AFTER: Final = timedelta(days=14)


def cost_by_day(first: date) -> dict[date, int]:
    """What was used on each day from `first` on, in billionths of a dollar; days without anything are left out."""
    rows = UsageDay.objects.filter(day__gte=first).values_list("day")
    return dict(rows.annotate(cost=Sum("cost_nano")).order_by("day"))


def cost_of_month(month: date) -> int:
    """What is on the bills of a month so far, in billionths of a dollar."""
    return UsageDay.objects.filter(bill_month=month).aggregate(cost=Sum("cost_nano"))["cost"] or 0


def used_up(budgets: QuerySet[Budget]) -> QuerySet[Budget]:
    return budgets.filter(spent_nano__gte=F("limit_nano"))


def fullest_budgets(user: User, most: int) -> list[Budget]:
    """Of those that `user` may see, the ones of which the largest share is spent, among those that allow anything."""
    share = Cast("spent_nano", FloatField()) / Cast("limit_nano", FloatField())
    return list(visible_budgets(user).filter(limit_nano__gt=0).order_by(share.desc(), "pk")[:most])


def overdue(bills: QuerySet[Bill]) -> QuerySet[Bill]:
    """Those that have been open for longer than OVERDUE_AFTER."""
    return bills.filter(status=states.OPEN, opened_at__lte=timezone.now() - OVERDUE_AFTER)


def unsent(bills: QuerySet[Bill]) -> QuerySet[Bill]:
    """Those that could not be sent to Stripe the last time."""
    return bills.filter(status=states.OPEN, sent_at=None).exclude(sending_error="")


def overdue_bills() -> int:
    return overdue(Bill.objects.all()).count()


def unsent_bills() -> int:
    return unsent(Bill.objects.all()).count()


def open_differences() -> int:
    return Difference.objects.filter(resolved_at=None).count()
