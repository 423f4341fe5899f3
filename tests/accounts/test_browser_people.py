"""What staff do with people in the admin, in a real browser on a real deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PASSWORD, chromium, opened_page, sign_in
from tests.deployment import Deployment, Factory

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("sqlite", "browsers see the web server only")]
# A customer's user who asks for more, with a webhook to which something could not be delivered.
MARY: Final = """
from django.utils import timezone
from accounts import services
from accounts.models import WebhookDelivery
mary = services.create_user(username="mary", role="customer", customer="acme", actor=None)
services.request_limit(user=mary, desired_limit=50, reason="More rooms.")
url, sealed = "https://example.com/hook", services.seal(None)
webhook = services.make_webhook(owner=mary, actor=mary, name="ci", url=url, sealed=sealed)
WebhookDelivery.objects.create(
    webhook=webhook, position=1, kind="job.moved", subject_kind="job", subject_id=7, body="{}",
    status="FAILED", attempts=9, ended_at=timezone.now(),
)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def place(shared_deployment: Factory) -> Deployment:
    """A deployment with mary."""
    place = shared_deployment(DEBUG="1")
    place.bootstrap("anna", PASSWORD)
    place.run_manage("shell", "-c", MARY)
    place.start_web()
    return place


@pytest.fixture
def page(browser: Browser, place: Deployment) -> Iterator[Page]:
    """Anna has signed in by the form."""
    expect.set_options(timeout=60_000)
    with opened_page(browser) as page:
        sign_in(page, place.base_url)
        yield page


def _value(place: Deployment, statement: str) -> Any:
    [[value]] = place.rows(statement)
    return value


def _press(page: Page, label: str) -> None:
    """The button of a row's page, and the one that confirms."""
    page.locator("a.cp-button", has_text=re.compile(f"^{label}$")).click()
    page.locator("button.cp-main").click()


def test_an_invitation_s_token_is_shown_once(place: Deployment, page: Page) -> None:
    listed = f"{place.base_url}/admin/accounts/invitation/"
    page.goto(f"{listed}add/")
    page.fill("input[name=name]", "friends")
    page.click("button.cp-main")
    token = page.locator("td code").inner_text()
    assert token.startswith(_value(place, "SELECT prefix FROM accounts_invitation"))
    assert len(token) > 40
    for address in (page.url, listed):  # by its address, as a reload would post the form again
        page.goto(address)
        expect(page.locator("body")).to_contain_text("nvitation")
        assert token not in page.content()
    page.locator("#result_list a", has_text="friends").first.click()
    expect(page.locator("body")).to_contain_text("friends")
    assert token not in page.content()


def test_a_wish_is_granted_and_leaves_the_list_of_what_waits(place: Deployment, page: Page) -> None:
    listed = f"{place.base_url}/admin/accounts/limitchangerequest/"
    page.goto(listed)
    expect(page.locator("#result_list")).to_contain_text("More rooms.")
    page.locator("#result_list").get_by_role("button", name="Approve").click()
    expect(page.locator("body")).to_contain_text("Approved the request of mary.")
    assert _value(place, "SELECT instance_limit FROM accounts_user WHERE username = 'mary'") == 50
    page.goto(listed)
    expect(page.locator("body")).not_to_contain_text("More rooms.")
    page.goto(f"{listed}?status=all")
    expect(page.locator("#result_list")).to_contain_text("APPROVED")


def test_what_could_not_be_delivered_is_sent_again(place: Deployment, page: Page) -> None:
    page.goto(f"{place.base_url}/admin/accounts/webhookdelivery/?status=FAILED")
    page.locator("#result_list th a").first.click()
    expect(page.locator(".cp-badge").first).to_have_text("FAILED")
    _press(page, "Send again")
    expect(page.locator("body")).to_contain_text("Sent again: ")
    expect(page.locator(".cp-head .cp-badge").first).to_have_text("PENDING")
    assert place.rows("SELECT status, attempts FROM accounts_webhookdelivery") == [("PENDING", 0)]


def test_an_admin_sees_as_a_customer_s_user_and_stops(place: Deployment, page: Page) -> None:
    mary = _value(place, "SELECT id FROM accounts_user WHERE username = 'mary'")
    own = f"{place.base_url}/admin/accounts/user/{mary}/change/"
    page.goto(own)
    _press(page, "See as this user")
    page.locator("a", has_text="The API's pages").click()
    expect(page.locator("body")).to_contain_text("anna, seeing as mary does, read only")
    page.goto(f"{place.base_url}/v6/users/me/")
    expect(page.locator(".response-info")).to_contain_text('"username": "mary"')
    page.goto(own)
    _press(page, "Stop seeing as this user")
    expect(page.locator("body")).to_contain_text("You see with your own eyes again.")
    page.goto(f"{place.base_url}/v6/users/me/")
    expect(page.locator(".response-info")).to_contain_text('"username": "anna"')
