"""Who meters, or closes a month, dies at some line of it: nothing is done twice, and nothing is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from accounts import following
from accounts.models import Follower
from billing import services
from billing.models import Bill, BillLine, ClosedMonth, UsageDay, UsageRecord
from billing.models.usage import METER
from billing.services import bills, budgets, ledger, metering
from billing.states import DRAFT, OPEN
from jobs.models import Execution
from tests.at_lines import Died, at_line, die, reconnect, some_of
from tests.billing.scene import MONTH, end, follow_from_here, ms, price_here, ran, running, totals

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.runs_once("postgresql", "what the database keeps of a transaction that is cut off is Django's on both"),
]
METERING: Final = (metering.__file__, ledger.__file__, budgets.__file__, following.__file__)
CLOSING: Final = (bills.__file__, ledger.__file__)
NOON: Final = MONTH + timedelta(hours=12)


def _forget() -> None:
    for model in (BillLine, Bill, ClosedMonth, UsageRecord, UsageDay):
        model.objects.all().delete()


def _lines(files: tuple[str, ...], work: Callable[[], object]) -> int:
    with at_line(files, 0, lambda: None) as seen:
        work()
    return seen[0]


def test_a_meter_that_dies_has_metered_once_or_not_at_all() -> None:
    follow_from_here()
    price_here("1")
    job = running(NOON, vcpus_milli=1000)
    begun = Follower.objects.get(name=METER).position
    services.set_budget(actor=None, customer=job.customer, limit_nano=10**12, begins=MONTH.date())
    services.checkpoint(NOON + timedelta(hours=1, minutes=10))
    end(job, NOON + timedelta(hours=2, minutes=30))
    services.meter()
    expected = totals()
    assert expected["run_ms"] == ms(hours=2, minutes=30)

    def again() -> None:
        _forget()
        Follower.objects.filter(name=METER).update(position=begun, failures=0, at_once=None)
        Execution.objects.update(reserved_nano=10**9)

    again()
    lines = _lines(METERING, services.meter)
    assert lines > 100
    for number in some_of(lines):
        again()
        with contextlib.suppress(Died), at_line(METERING, number, die):
            services.meter()
        reconnect()
        services.meter()
        assert totals() == expected, number
        assert not Execution.objects.filter(reserved_nano__gt=0).exists(), number


def test_who_dies_closing_a_month_leaves_each_customer_one_bill() -> None:
    follow_from_here()
    price_here("1")
    for n in range(3):
        ran(NOON, timedelta(hours=n + 1), customer=f"customer {n}", vcpus_milli=1000)
    services.meter()
    closing = MONTH + timedelta(days=31, hours=7)

    def close() -> None:
        services.close_month(MONTH.date(), now=closing)

    def again() -> None:
        for model in (BillLine, Bill, ClosedMonth):
            model.objects.all().delete()

    lines = _lines(CLOSING, close)
    assert lines > 60
    for number in some_of(lines):
        again()
        with contextlib.suppress(Died), at_line(CLOSING, number, die):
            close()
        reconnect()
        assert not Bill.objects.filter(status=DRAFT).exists(), number
        close()
        found = Bill.objects.filter(month=MONTH.date(), status=OPEN).order_by("amount")
        assert [bill.amount for bill in found] == [100, 200, 300], number
        assert sum(BillLine.objects.values_list("amount", flat=True)) == 600, number
