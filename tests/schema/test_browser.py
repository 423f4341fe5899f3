"""With a real browser: sign in, submit a job through the form for raw data, read the schema's pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Request, Response, expect

from tests.chromium import PASSWORD
from tests.chromium import chromium as launched
from tests.deployment import Deployment, Factory
from tests.webhooks import wait_until

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("sqlite", "browsers see the web server only")]
JOB: Final = {"customer": "acme", "classification": "from-a-browser", "command": ["true"]}


@dataclass
class Watched:
    """A page, and what it asked for that failed or lay elsewhere."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.page.on("request", self._asked)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))

    def _failed(self, request: Request) -> None:
        if request.failure == "csp":
            # The page's own policy has stopped it: Redoc would fetch a picture from its maker.
            self.faults.remove(f"elsewhere: {request.url}")
        else:
            self.faults.append(f"failed: {request.url} {request.failure}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:", "blob:")):
            self.faults.append(f"elsewhere: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            self.faults.append(f"{response.status}: {response.url}")


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def served(deployment: Factory) -> Deployment:
    place = deployment(DEBUG="1")
    place.bootstrap("anna", PASSWORD)
    place.start_web()
    return place


def test_a_job_is_submitted_from_the_page_of_jobs(deployment: Factory, chromium: Browser) -> None:
    place = served(deployment)
    watched = Watched(chromium.new_page(), place.base_url)
    page = watched.page
    page.goto(f"{place.base_url}/admin/login/?next=/v6/jobs/")
    page.fill("input[name=username]", "anna")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    expect(page).to_have_url(f"{place.base_url}/v6/jobs/")
    content = page.locator("textarea[name=_content]")
    assert json.loads(content.input_value())["command"]
    content.fill(json.dumps(JOB))
    page.locator("form", has=content).get_by_role("button", name="POST").click()
    expect(page.locator(".response-info")).to_contain_text("201 Created")
    page.goto(f"{place.base_url}/v6/jobs/?classification={JOB['classification']}")
    expect(page.locator(".response-info")).to_contain_text('"count": 1')
    expect(page.locator(".response-info")).to_contain_text('"owner": "anna"')
    assert watched.faults == []


@pytest.mark.parametrize(("path", "operation"), [("swagger", ".opblock"), ("redoc", "[id^='tag/Native/operation/']")])
def test_the_schema_s_pages_show_all_operations_from_here(
    deployment: Factory, chromium: Browser, path: str, operation: str
) -> None:
    place = served(deployment)
    watched = Watched(chromium.new_page(), place.base_url)
    watched.page.goto(f"{place.base_url}/schema/{path}/")
    shown = watched.page.locator(operation)
    expect(shown.first).to_be_visible(timeout=30_000)
    seen: dict[str, str] = {}

    def all_seen() -> bool:
        """Swagger UI has only those in the page that are in sight."""
        seen.update(shown.evaluate_all("all => all.map(each => [each.id, each.innerText])"))
        watched.page.mouse.wheel(0, 400)
        return len(seen) >= 100 and any("Submit a job" in text for text in seen.values())

    wait_until(all_seen, "that all operations were in sight")
    assert watched.faults == []
