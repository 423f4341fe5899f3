"""The admin's scripts, in a real browser on a real deployment."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import PASSWORD, opened_page, sign_in
from tests.deployment import Factory

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("postgresql", "browsers see the web server only")]
TALKS = "for n in 1 2 3 4 5 6 7 8; do echo line $n; sleep 0.5; done"


class _Api:
    def __init__(self, base: str, token: str) -> None:
        self._base, self._token = base, token

    def post(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def submit(self, script: str, **wish: Any) -> int:
        job = {"customer": "acme", "classification": "nightly", "command": ["sh", "-c", script], "vcpus": 0.1}
        return int(self.post("/v6/jobs/", {**job, "memory_mib": 64, **wish})["id"])


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_page() as page:
        yield page


@pytest.mark.group("jobs")
def test_a_page_follows_its_job_and_an_operation_its_work(deployment: Factory, page: Page) -> None:
    expect.set_options(timeout=60_000)
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    token = place.bootstrap("anna", PASSWORD)
    place.start_manage("work")
    base = place.start_web()
    api, faults = _Api(base, token), []
    page.on("pageerror", lambda error: faults.append(str(error)))

    sign_in(page, base)

    job = api.submit(TALKS)
    page.goto(f"{base}/admin/jobs/job/{job}/change/")
    expect(page.locator("#log")).to_contain_text("line 2")
    expect(page.locator("#log")).to_contain_text("line 8")
    expect(page.locator("#job-status")).to_have_text("COMPLETED")
    expect(page.locator("#log-note")).to_contain_text("The job has ended")

    # More than a machine has, so that they wait.
    waiting = [api.submit("true", vcpus=4096) for _ in range(3)]
    page.goto(f"{base}/admin/jobs/job/?state=QUEUED")
    page.click("nav.cp-pages >> text=Hold")
    page.fill("input[name=hint]", "not now")
    page.click("button.cp-main")
    expect(page.locator("#operation-status")).to_have_text("COMPLETED")
    expect(page.locator("#operation-done")).to_have_text("3")
    page.goto(f"{base}/admin/jobs/job/{waiting[0]}/change/")
    expect(page.locator("#job")).to_contain_text("not now")
    assert faults == []
