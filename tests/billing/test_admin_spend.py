"""What a month costs, in the admin: by day and by customer, each number with a way to what it adds up."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import queries
from billing.models import UsageDay, UsageKind, UsageRecord
from billing.queries import spend
from tests.answers import text_of
from tests.billing.scene import MONTH, entered
from tests.browsers import OTHERS, STAFF, browser
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
SPEND = "/admin/billing/spend/"
DAY = timedelta(days=1)


def shown(role: str = "monitor", **parameters: Any) -> str:
    answer = browser(role).get(SPEND, parameters)
    assert answer.status_code == 200
    return text_of(answer)


def test_the_page_is_for_staff() -> None:
    assert reverse("admin:billing_spend") == SPEND
    for role in STAFF:
        assert "Nothing was used." in shown(role)
        for path in ("/admin/billing/bill/", "/admin/billing/usagerecord/"):
            assert SPEND in text_of(browser(role).get(path))
    for role in OTHERS:
        assert "/admin/login/" in browser(role).get(SPEND).headers["Location"]


def test_a_month_is_summed_by_day_and_by_customer() -> None:
    entered(cost="1.5"), entered(cost="2", at=MONTH + 4 * DAY), entered("other", "0.5", MONTH + 4 * DAY)
    entered("other", "9", MONTH + 40 * DAY), entered(None, "4")
    found = queries.spend_of(MONTH.date())
    assert {day.day: cost / 10**9 for day, cost in found.by_day.items()} == {1: 5.5, 5: 2.5}
    by_name = [(str(each.customer), each.cost_nano / 10**9, each.records) for each in found.by_customer]
    assert by_name == [("None", 4.0, 1), ("acme", 3.5, 2), ("other", 0.5, 1)]
    assert (found.total_nano, found.others_nano) == (8 * 10**9, None)
    of_day = queries.spend_of(MONTH.date(), date(2026, 3, 5))
    assert of_day.total_nano == 2_500_000_000
    assert [str(each.customer) for each in of_day.by_customer] == ["acme", "other"]
    assert of_day.by_day == found.by_day


def test_every_number_leads_to_the_records_that_it_adds_up() -> None:
    entered(cost="1.5"), entered(cost="2", at=MONTH + 4 * DAY), entered("a&b", "0.5", MONTH + 4 * DAY)
    entered("a&b", "9", MONTH + 40 * DAY)
    pages = (shown(month="2026-03"), shown(month="2026-03", day="2026-03-05"))
    found = {each for text in pages for each in _numbers(text)}
    assert {number for _, number in found} == {"1.5", "2", "3.5", "0.5", "4", "2.5"}
    for url, number in found:
        rows = browser("monitor").get(url).context["cl"].result_list
        assert sum(row.cost_nano for row in rows) == float(number) * 10**9, url


def _numbers(text: str) -> list[tuple[str, str]]:
    ways = re.findall(r"href=[\"'](/admin/billing/usagerecord/\?[^\"']*)[\"']>([\d.]+)(?: USD)?</a>", text)
    counts = re.findall(r"<td><a href='[^']*'>\d+</a></td></tr>", text)
    assert counts
    return [(url.replace("&amp;", "&"), number) for url, number in ways if f">{number}</a></td></tr>" not in text]


def test_days_are_drawn_also_those_below_nothing() -> None:
    entered(cost="2"), entered(cost="-1", at=MONTH + DAY, kind=UsageKind.CORRECTION, shape="")
    text = shown(month="2026-03")
    chart = re.search(r"<svg class='cp-chart cp-bars'.*?</svg>", text, flags=re.DOTALL)
    assert chart is not None
    bars = re.findall(r"y='([\d.]+)' width='[\d.]+' height='([\d.]+)'><title>([^<]*)</title>", chart[0])
    assert len(bars) == 31
    assert "At the top: 2 USD, on 2026-03-01." in text
    assert bars[0] == ("0.0", "93.3", "2026-03-01: 2 USD")
    assert bars[1] == ("93.3", "46.7", "2026-03-02: -1 USD")
    assert "aria-label='USD by day of 2026-03, 1 in all'" in chart[0]


def test_what_was_used_before_its_bill_s_month_is_told_apart() -> None:
    entered()
    for model in (UsageRecord, UsageDay):
        model.objects.update(bill_month=date(2026, 4, 1))
    text = shown(month="2026-04")
    assert "used earlier, metered or corrected later" in text
    assert "2026-03-01" in text


def test_months_lead_to_those_around_them_where_there_is_something() -> None:
    entered(), entered(at=MONTH + 70 * DAY)
    assert "‹" not in shown(month="2026-03")
    assert "month=2026-04" in shown(month="2026-03")
    assert all(f"month={each}" in shown(month="2026-04") for each in ("2026-03", "2026-05"))
    assert "›" not in shown(month="2026-05")
    assert "›" not in shown(month="2999-12")
    assert f"Spend of {timezone.now():%Y-%m}" in shown()
    assert "Spend of 2026-03" in shown(day="2026-03-05")


@pytest.mark.parametrize("wish", [{"month": "x"}, {"month": "2026-00"}, {"day": "2026-02-30"}, {"month": "9999-12"}])
def test_what_is_no_month_is_said(wish: dict[str, str]) -> None:
    assert "This is no month" in shown(**wish)


def test_the_rest_of_many_customers_is_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST", 2)
    for number in range(4):
        entered(f"c{number}", str(number + 1))
    found = queries.spend_of(MONTH.date())
    assert [str(each.customer) for each in found.by_customer] == ["c3", "c2"]
    assert found.others_nano == 3 * 10**9
    assert "all others" in shown(month="2026-03")


def test_the_page_costs_the_same_with_many_customers_and_days() -> None:
    client, counts = browser("monitor"), []
    for count in (1, 12):
        for number in range(count):
            entered(f"customer {count} {number}", at=MONTH + number * DAY)
        with within_budget("admin: spend"), counted() as found:
            client.get(SPEND, {"month": "2026-03"})
        counts.append(len(found))
    assert counts[0] == counts[1]
