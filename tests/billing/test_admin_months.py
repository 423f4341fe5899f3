"""Closed months in the admin, and the button that closes the next one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import Event
from billing import hours, services, tasks
from billing.admin import months
from billing.models import Bill, ClosedMonth
from tests.answers import text_of
from tests.billing.scene import MONTH, entered, opened
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
MONTHS = "/admin/billing/closedmonth/"
CLOSE = f"{MONTHS}close/"


def ended() -> datetime:
    """The beginning of a month that ended a while ago."""
    return hours.begin(hours.month_of(timezone.now() - timedelta(days=45)))


def text_at(path: str, role: str = "admin", **parameters: Any) -> str:
    answer = browser(role).get(path, parameters, follow=True)
    assert answer.status_code == 200
    return text_of(answer)


def post(month: datetime, role: str = "admin") -> str:
    return text_of(browser(role).post(CLOSE, {"month": f"{month:%Y-%m}"}, follow=True))


def test_all_staff_see_months_and_others_none() -> None:
    entered(cost="12.5"), entered("other")
    opened()
    change = f"{MONTHS}2026-03-01/change/"
    for role in STAFF:
        for path in (MONTHS, change):
            text = text_at(path, role)
            assert "2026-03" in text
            assert "13.50" in text
            assert "month=2026-03'>2</a>" in text
    assert "month.closed" in text_at(change)
    for role in OTHERS:
        for path in (MONTHS, change, CLOSE):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


def test_an_admin_closes_the_oldest_month_that_has_ended() -> None:
    month = ended()
    entered(cost="2.5", at=month), entered("other", at=month), entered(None, at=month)
    entered(at=hours.begin(hours.next_month(month.date())))
    assert f">Close {month:%Y-%m}</a>" in text_at(MONTHS)
    asked = text_at(CLOSE)
    assert "2 customers, 3.5 USD." in asked
    assert not ClosedMonth.objects.exists()
    assert f"Closed: {month:%Y-%m}. All of its bills are final." in post(month)
    assert list(ClosedMonth.objects.values_list("month", flat=True)) == [month.date()]
    assert list(Bill.objects.values_list("status", flat=True)) == ["open", "open"]
    event = Event.objects.get(kind="month.closed")
    assert event.actor == somebody("admin")
    assert f">Close {month:%Y-%m}</a>" not in text_at(MONTHS)


def test_what_takes_longer_goes_on_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "AT_ONCE_SECONDS", 0.0)
    month = ended()
    entered(at=month), entered("other", at=month)
    assert "which goes on in the background" in post(month)
    assert ClosedMonth.objects.count() == 1
    assert not Bill.objects.exclude(status="draft").exists()
    tasks.close_months()
    assert list(Bill.objects.values_list("status", flat=True)) == ["open", "open"]


@pytest.mark.runs_once("postgresql", "it is about the queue's table")
def test_the_task_is_there_exactly_when_something_is_left() -> None:
    month = ended()
    entered(at=month)
    OrmQ.objects.all().delete()
    assert not services.begin_closing(month=month.date(), actor=somebody("admin"), seconds=0)
    assert [row.task["func"] for row in OrmQ.objects.all()] == ["billing.tasks.close_months"]
    OrmQ.objects.all().delete()
    assert services.begin_closing(month=month.date(), actor=somebody("admin"), seconds=60)
    assert not OrmQ.objects.exists()


def test_a_month_that_has_not_ended_is_told_in_words() -> None:
    this = hours.begin(hours.month_of(timezone.now()))
    entered(at=this)
    assert ">Close " not in text_at(MONTHS)
    assert f"{this:%Y-%m} can be closed from {hours.next_month(this.date())} 06:00 UTC on." in post(this)
    assert not ClosedMonth.objects.exists()


def test_only_the_month_that_was_seen_is_closed() -> None:
    month = ended()
    entered(at=month), entered(at=hours.begin(hours.next_month(month.date())))
    post(month)
    assert f"{month:%Y-%m} is not the month to be closed next" in post(month)
    assert ClosedMonth.objects.count() == 1


def test_nothing_to_close_is_said() -> None:
    entered(None)
    assert ">Close " not in text_at(MONTHS)
    assert "Nothing was used since the last month that was closed." in text_at(CLOSE)
    assert "Nothing was used since" in post(MONTH)


@pytest.mark.parametrize("role", ["operator", "monitor"])
def test_who_only_looks_gets_neither_button_nor_page_nor_deed(role: str) -> None:
    month = ended()
    entered(at=month)
    assert CLOSE not in text_at(MONTHS, role)
    assert browser(role).get(CLOSE).status_code == 403
    assert browser(role).post(CLOSE, {"month": f"{month:%Y-%m}"}).status_code == 403
    assert not ClosedMonth.objects.exists()


def test_the_list_costs_the_same_with_many_months() -> None:
    client, counts = browser("admin"), []
    entered()
    opened()
    for count in (1, 12):
        for number in range(count):
            ClosedMonth.objects.get_or_create(month=f"20{count + 10}-{number + 1:02}-01")
        with within_budget("admin: closed months"), counted() as found:
            client.get(MONTHS)
        counts.append(len(found))
    assert counts[0] == counts[1]
