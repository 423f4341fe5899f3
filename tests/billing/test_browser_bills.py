"""What staff do with bills in the admin, in a real browser on a real deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import PASSWORD, opened_page, sign_in
from tests.deployment import Deployment, Factory

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("postgresql", "browsers see the web server only")]
# Two months, of which the first has ended.
METERED: Final = """
from datetime import timedelta
from django.utils import timezone
from accounts.models import Customer
from billing import hours, services
from billing.services.ledger import Entry, enter, locked
acme = Customer.objects.create(name="acme")
first = hours.begin(hours.month_of(timezone.now() - timedelta(days=45)))
for number, days in enumerate((0, 3, 4, 9, 20, 40)):
    begun = hours.milliseconds(first + timedelta(days=days))
    with locked():
        enter([Entry("execution", 10**6 + number, begun, begun + hours.HOUR_MS, acme.pk, None,
                     (number + 1) * 1_500_000_000, shape="container", cloud="aws", region="eu-1",
                     run_ms=hours.HOUR_MS, offer="m5.large", rate=1)])
services.draw_up_drafts()
"""


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_page() as page:
        yield page


@pytest.fixture
def place(deployment: Factory, page: Page) -> Deployment:
    """A deployment at whose admin anna has signed in by the form."""
    expect.set_options(timeout=60_000)
    place = deployment(DEBUG="1")
    place.bootstrap("anna", PASSWORD)
    place.run_manage("shell", "-c", METERED)
    base = place.start_web()
    sign_in(page, base)
    return place


def _press(page: Page, label: str) -> None:
    """The button of a row's page, and the one that confirms."""
    page.locator("a.cp-button", has_text=re.compile(f"^{label}")).click()
    page.locator("button.cp-main").click()


def test_a_month_is_closed_and_its_bill_followed_to_a_record_corrected_and_paid(place: Deployment, page: Page) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{place.base_url}/admin/billing/closedmonth/")
    _press(page, "Close ")
    expect(page.locator("body")).to_contain_text("All of its bills are final.")
    page.locator("#result_list a", has_text="1").last.click()
    page.locator("#result_list th a").first.click()
    expect(page.locator(".cp-head .cp-badge")).to_have_text("open")

    page.locator("a", has_text="5 records").click()
    page.locator("#result_list th a").first.click()
    expect(page.locator("body")).to_contain_text("1 USD an hour, m5.large")
    page.locator("a.cp-button", has_text="Correct").click()
    page.fill("input[name=amount]", "-0.5")
    page.fill("input[name=note]", "It was ours.")
    page.locator("button.cp-main").click()
    expect(page.locator("body")).to_contain_text("Corrected by -0.5 USD")
    expect(page.locator("section", has_text="Corrections").last).to_contain_text("It was ours.")

    page.locator("dd a", has_text="acme 20").click()
    _press(page, "Mark paid")
    expect(page.locator(".cp-head .cp-badge")).to_have_text("paid")
    assert place.rows("SELECT status FROM billing_bill ORDER BY month") == [("paid",), ("draft",)]
    assert faults == []


def test_a_bill_is_printed_on_paper_without_what_is_for_the_screen(place: Deployment, page: Page) -> None:
    page.goto(f"{place.base_url}/admin/billing/bill/")
    page.locator("#result_list th a").last.click()
    page.locator("a.cp-button", has_text="To print").click()
    way_back = page.locator("a", has_text="Back to the bill")
    expect(way_back).to_be_visible()
    page.emulate_media(media="print")
    expect(way_back).to_be_hidden()
    expect(page.locator("tfoot")).to_contain_text("22.50")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_spend_of_a_month_is_drawn_and_leads_to_a_day(place: Deployment, page: Page) -> None:
    page.goto(f"{place.base_url}/admin/billing/bill/")
    month = page.locator("#result_list tbody tr").last.locator(".field-of_month").inner_text()
    page.locator("a.cp-button", has_text="Spend of a month").click()
    page.fill("input[name=month]", month)
    page.locator("button", has_text="Show").click()
    expect(page.locator("svg.cp-bars rect").first).to_be_attached()
    tall = [each for each in page.locator("svg.cp-bars rect").all() if each.get_attribute("height") != "0.0"]
    assert len(tall) == 5
    page.locator("a", has_text=f"{month}-10").click()
    expect(page.locator(".cp-head")).to_contain_text("6 USD on ")
