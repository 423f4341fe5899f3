"""What people on call do in the admin, from the page where they begin to what they wanted, in a real browser."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PASSWORD, chromium, opened_page, sign_in
from tests.deployment import Deployment, Factory
from tests.waiting import until

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("sqlite", "browsers see the web server only")]
MANIFEST: Final = {
    "seedVersion": "1.0.0",
    "job": {
        "name": "count-words",
        "jobVersion": "1.0.0",
        "packageVersion": "1.0.0",
        "title": "Count words",
        "description": "Counts the words of a text",
        "maintainer": {"name": "Jane Doe", "email": "jane@example.com"},
        "timeout": 60,
        "resources": {"scalar": [{"name": "cpus", "value": 0.1}, {"name": "mem", "value": 64}]},
        "interface": {"command": "wc -w"},
    },
}


class Api:
    """What customers do meanwhile."""

    def __init__(self, place: Deployment, token: str) -> None:
        self.place, self._base, self._token = place, place.base_url, token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def submit(self, customer: str, script: str, **wish: Any) -> int:
        job = {"customer": customer, "classification": "nightly", "command": ["sh", "-c", script], "vcpus": 0.1}
        return int(self.call("POST", "/v6/jobs/", {**job, "memory_mib": 64, **wish})["id"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def api(shared_deployment: Factory) -> Api:
    """Anna's, of a deployment with workers."""
    place = shared_deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    token = place.bootstrap("anna", PASSWORD)
    place.start_manage("work")
    place.start_web()
    return Api(place, token)


@pytest.fixture
def place(api: Api) -> Deployment:
    return api.place


@pytest.fixture
def page(browser: Browser, place: Deployment) -> Iterator[Page]:
    """Anna has signed in by the form."""
    expect.set_options(timeout=60_000)
    with opened_page(browser, viewport={"width": 1680, "height": 1000}) as page:  # filters stand beside the list
        sign_in(page, place.base_url)
        yield page


def press(page: Page, label: str) -> None:
    """The button of a row's page."""
    page.locator("a.cp-button", has_text=re.compile(f"^{label}…?$")).click()


def go_to(page: Page, title: str) -> None:
    """A list, by its entry in the side bar."""
    page.locator("nav a, #nav-sidebar a", has_text=re.compile(f"(^|\\s){title}\\s*$")).first.click()


def test_a_customer_s_failed_jobs_are_found_and_run_again(place: Deployment, api: Api, page: Page) -> None:
    flag = place.folder / "mended"
    failing = [api.submit("acme", f"test -e {flag} || exit 3", max_tries=1) for _ in range(2)]
    other = api.submit("globex", "exit 3", max_tries=1)
    until(lambda: place.rows("SELECT count(*) FROM jobs_job WHERE status = 'FAILED'") == [(3,)])
    go_to(page, "Jobs")
    page.fill("input[name=customer]", "acme")
    page.press("input[name=customer]", "Enter")
    page.locator("#changelist-filter a, label", has_text=re.compile("FAILED")).first.click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    flag.touch()
    page.click("nav.cp-pages >> text=Requeue")
    expect(page.locator("body")).to_contain_text("2")
    page.click("button.cp-main")
    expect(page.locator("#operation-status")).to_have_text("COMPLETED")
    expect(page.locator("#operation-done")).to_have_text("2")
    for job in failing:
        page.goto(f"{place.base_url}/admin/jobs/job/{job}/change/")
        expect(page.locator("#job-status")).to_have_text("COMPLETED")
    assert place.rows(f"SELECT status FROM jobs_job WHERE id = {other}") == [("FAILED",)]


def test_why_a_job_waits_is_told_and_what_frees_it_is_a_click_away(place: Deployment, api: Api, page: Page) -> None:
    go_to(page, "Holds")
    page.locator("a[href$='/hold/add/']").first.click()
    page.fill("input[name=hint]", "The lens is being changed.")
    page.click("button.cp-main")
    job = api.submit("acme", "true")
    page.goto(f"{place.base_url}/admin/jobs/job/{job}/change/")
    expect(page.locator("section", has_text="Why it waits")).to_contain_text("The lens is being changed.")
    go_to(page, "Holds")
    page.locator("#result_list th a").first.click()
    press(page, "Lift")
    page.click("button.cp-main")
    page.goto(f"{place.base_url}/admin/jobs/job/{job}/change/")
    expect(page.locator("#job-status")).to_have_text("COMPLETED")


def test_a_type_is_paused_and_two_of_its_revisions_are_compared(place: Deployment, api: Api, page: Page) -> None:
    wish = {"docker_image": "count:1", "manifest": MANIFEST}
    api.call("POST", "/v6/job-types/", wish)
    changed = json.loads(json.dumps(MANIFEST).replace("Counts the words of a text", "Counts words, and lines"))
    api.call("PATCH", "/v6/job-types/count-words/1.0.0/", {"manifest": changed})
    go_to(page, "Job types")
    page.locator("#result_list th a", has_text="count-words").first.click()
    press(page, "Pause")
    page.click("button.cp-main")
    expect(page.locator("body")).to_contain_text("Pause: count-words")
    assert api.call("GET", "/v6/job-types/count-words/1.0.0/")["is_paused"] is True
    page.locator("a", has_text=re.compile("[Cc]ompare")).first.click()
    expect(page.locator(".cp-beside").first).to_contain_text("Counts the words of a text")
    expect(page.locator(".cp-beside").first).to_contain_text("Counts words, and lines")


def test_a_token_is_made_used_and_revoked(place: Deployment, page: Page) -> None:
    go_to(page, "Tokens")
    page.locator("a[href$='/apitoken/add/']").first.click()
    page.fill("input[name=username]", "anna")
    page.fill("input[name=name]", "laptop")
    page.click("button.cp-main")
    fresh = Api(place, page.locator("td code").inner_text())
    assert fresh.call("GET", "/v6/users/me/")["username"] == "anna"
    go_to(page, "Tokens")
    page.locator("#result_list tbody tr", has_text="laptop").locator("th a").click()
    press(page, "Archive")
    page.click("button.cp-main")
    with pytest.raises(urllib.error.HTTPError) as refused:
        fresh.call("GET", "/v6/users/me/")
    assert refused.value.code == 401
