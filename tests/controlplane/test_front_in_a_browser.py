"""The front page in a real browser, on a real deployment: it keeps itself up to date and loses nobody their place."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.chromium import PASSWORD, opened_page, sign_in
from tests.deployment import Factory

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.runs_once("postgresql", "browsers see the web server only"),
    pytest.mark.group("jobs"),
]
HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_page() as page:
        yield page


def submit(base: str, token: str) -> None:
    """A job that waits: it is larger than the machine."""
    job = {"customer": "acme", "classification": "nightly", "command": ["true"], "vcpus": 4096, "memory_mib": 64}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/v6/jobs/", json.dumps(job).encode(), headers)
    urllib.request.urlopen(request, timeout=60).close()


def test_it_keeps_itself_up_to_date_but_not_where_nobody_looks(deployment: Factory, page: Page) -> None:
    expect.set_options(timeout=60_000)
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    token = place.bootstrap("anna", PASSWORD)
    place.start_manage("work")
    base = place.start_web()
    faults: list[Any] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.clock.install()
    sign_in(page, base)
    expect(page.locator("#first-steps")).to_contain_text("Submit a job")
    page.wait_for_load_state("load")  # what has no style yet takes no focus
    reload = page.locator("[data-live=at] a", has_text="Reload")
    reload.focus()
    expect(reload).to_be_focused()

    submit(base, token)
    page.clock.fast_forward(11_000)
    waiting = page.locator("[data-live] a[href*='reason=TOO_LARGE_VCPUS']").first
    expect(waiting).to_have_text("1")
    expect(page.locator("#first-steps")).to_have_count(0)
    expect(page.locator("[data-live-word]")).to_contain_text("Keeps itself up to date")
    expect(reload).to_be_focused()

    page.evaluate(HIDDEN, True)
    fetched: list[str] = []

    def note(request: Request) -> None:
        if request.url == f"{base}/admin/":
            fetched.append(request.url)

    page.on("request", note)
    submit(base, token)
    page.clock.fast_forward(60_000)
    assert fetched == []
    page.evaluate(HIDDEN, False)
    expect(waiting).to_have_text("2")

    assert fetched

    page.context.clear_cookies()
    page.clock.fast_forward(11_000)
    expect(page.locator("[data-live-word]")).to_contain_text("signed out")
    expect(waiting).to_have_text("2")
    assert faults == []
