"""Submitting work in the admin and watching it run, in a real browser on a real deployment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.chromium import PASSWORD
from tests.chromium import chromium as launched
from tests.deployment import Deployment, Factory
from tests.factories import manifest_of
from tests.jobs.test_seed_end_to_end import Client
from tests.recipes import definition_of, follower, job_node

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("sqlite", "browsers see the web server only")]
LONG_MS: Final = 60_000
ADD: Final = "/admin/jobs/job/add"
TALKS: Final = "for n in 1 2 3 4 5 6; do echo line $n; sleep 0.5; done"
COPY: Final = 'sh -c \'sleep 1; cp "$TEXT" "$OUTPUT_DIR/counts.txt"\''
OUTPUTS: Final = {"files": [{"name": "COUNTS", "pattern": "counts.txt"}]}
CAT: Final = b"#!/bin/sh\nsleep 0.5\nexec cat\n"
# The pages' own reload would lose this.
MARK: Final = "window.hasStayed = true"
HAS_STAYED: Final = "window.hasStayed === true"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


class Desk:
    """A deployment that runs jobs, and staff in front of its admin."""

    def __init__(self, place: Deployment, browser: Browser) -> None:
        self.place, self.browser, self.base = place, browser, place.base_url
        self.client = Client(place)
        self.faults: list[str] = []
        self._registered: tuple[int, int] | None = None

    def sign_in(self, **options: Any) -> Page:
        """A page of anna's, in a browser of its own."""
        context = self.browser.new_context(**options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(LONG_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(f"{self.base}/admin/login/?next=/admin/password_change/")
        page.fill("input[name=username]", "anna")
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        expect(page).to_have_url(f"{self.base}/admin/password_change/")
        return page

    def submit(self, command: list[str], **wish: Any) -> int:
        job = {"customer": "acme", "classification": "nightly", "command": command, "vcpus": 0.1, "memory_mib": 64}
        return int(self.client.call("POST", "/v6/jobs/", {**job, **wish})["id"])

    def job(self, job_id: int) -> Any:
        return self.client.call("GET", f"/v6/jobs/{job_id}/")

    def register(self) -> tuple[int, int]:
        """A job type that copies a text, and two of them in a row; the id of the job type, and of a text."""
        if self._registered is None:
            self._registered = self._register()
        return self._registered

    def _register(self) -> tuple[int, int]:
        broker = {"type": "host", "host_path": str(self.place.data_dir / "workspaces" / "texts")}
        body: dict[str, Any] = {"name": "texts", "title": "Texts", "configuration": {"broker": broker}}
        self.client.call("POST", "/v6/workspaces/", body)
        inputs = {"files": [{"name": "TEXT"}], "json": [{"name": "limit", "type": "integer", "required": False}]}
        manifest = manifest_of("copy", command=COPY, inputs=inputs, outputs=OUTPUTS)
        configuration = {"output_workspaces": {"default": "texts"}}
        body = {"docker_image": "copy:1", "manifest": manifest, "configuration": configuration}
        job_type = self.client.call("POST", "/v6/job-types/", body)
        definition = definition_of({"first": job_node("copy"), "second": follower("first", "copy")})
        self.client.call("POST", "/v6/recipe-types/", {"title": "Copy twice", "definition": definition})
        where = f"workspace=texts&path=in/{Path(__file__).name}&media_type=text/plain"
        file = self.client.call("POST", f"/v6/files/upload/?{where}", b"one two", "application/octet-stream")
        return int(job_type["id"]), int(file["id"])

    def put_program(self, name: str) -> None:
        self.client.call("POST", f"/v6/artifacts/?name={name}&protocol=streaming", CAT, "text/plain")


@pytest.fixture(scope="module")
def furnished(shared_deployment: Factory, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folders = str(tmp_path_factory.getbasetemp())
    place = shared_deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1", MAPREDUCE_FOLDERS=folders)
    place.bootstrap("anna", PASSWORD)
    place.start_web()
    place.start_manage("work")
    return Desk(place, chromium)


@pytest.fixture
def desk(furnished: Desk) -> Iterator[Desk]:
    expect.set_options(timeout=LONG_MS)
    furnished.faults.clear()
    yield furnished
    assert furnished.faults == []
    for context in furnished.browser.contexts:
        context.close()


def send(page: Page) -> str:
    """Wait until the form is told to be right, submit it, and say where that leads to."""
    expect(page.locator("#submit-aside")).to_contain_text("It would be taken as it is.")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page).to_have_url(re.compile(r"/change/$"))
    return page.url


def number_of(url: str) -> int:
    found = re.search(r"/(\d+)/change/$", url)
    assert found is not None
    return int(found[1])


# --- Submitting --------------------------------------------------------------------------------------


def test_faults_and_the_forecast_are_told_while_somebody_types(desk: Desk) -> None:
    page = desk.sign_in()
    before = desk.place.rows("SELECT count(*) FROM jobs_job")
    page.goto(f"{desk.base}{ADD}/container/")
    page.evaluate(MARK)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method) if request.method == "POST" else None)
    page.locator("[name=command]").press_sequentially("echo 'open", delay=20)
    fault = page.locator("[data-errors=command]")
    expect(fault).to_have_text("A quote is not closed.")
    assert page.locator("[name=command]").get_attribute("aria-invalid") == "true"
    expect(page.locator("#submit-aside")).to_contain_text("Not right yet: Customer, Classification, Command.")
    expect(page.locator("[data-errors=customer]")).to_have_text("")  # nobody has come to it yet
    assert len(asked) < 4, "a request for every key"
    page.fill("[name=customer]", "acme")
    page.fill("[name=classification]", "nightly")
    page.fill("[name=command]", "echo 'closed'")
    page.fill("[name=env]", "A=1")
    page.fill("[name=secret_env]", "KEY=sesame")
    aside = page.locator("#submit-aside")
    expect(aside).to_contain_text("It would be taken as it is.")
    expect(aside).to_contain_text("USD per hour")
    expect(aside).to_contain_text("local/local")
    expect(fault).to_have_text("")
    assert page.evaluate(HAS_STAYED)
    assert desk.place.rows("SELECT count(*) FROM jobs_job") == before

    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    curl = page.evaluate("navigator.clipboard.readText()")
    assert f"curl -X POST {desk.base}/v6/jobs/" in curl
    assert '"Authorization: Bearer $TOKEN"' in curl
    assert "sesame" not in curl
    page.get_by_role("button", name="Copy as v6 JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(2)
    body = json.loads(page.evaluate("navigator.clipboard.readText()"))
    job = desk.client.call("POST", "/v6/jobs/", body)
    assert (job["command"], job["secret_env"]) == (["echo", "closed"], ["KEY"])
    assert desk.job(number_of(send(page)))["command"] == ["echo", "closed"]


def test_every_shape_is_submitted(desk: Desk, tmp_path: Path) -> None:
    job_type, text = desk.register()
    page = desk.sign_in()
    page.goto(f"{desk.base}{ADD}/")
    page.get_by_role("link", name="Seed job").click()
    page.get_by_role("link", name="copy 1.0.0").click()
    page.fill("[name='input.files.TEXT']", Path(__file__).name)
    page.fill("[name='input.json.limit']", "3")
    seed = desk.job(number_of(send(page)))
    assert (seed["shape"], seed["input"]["files"]) == ("seed", {"TEXT": [text]})
    assert seed["job_type"]["id"] == job_type

    page.goto(f"{desk.base}{ADD}/recipe/")
    page.get_by_role("link", name="copy-twice").click()
    page.fill("[name='input.files.TEXT']", str(text))
    expect(page.locator("#submit-aside")).to_contain_text("second")
    recipe = desk.client.call("GET", f"/v6/recipes/{number_of(send(page))}/")
    assert recipe["input"]["files"] == {"TEXT": [text]}

    (tmp_path / "in.txt").write_text("a\nb\n")
    desk.put_program("cat.sh")
    page.goto(f"{desk.base}{ADD}/mapreduce/")
    for name, value in (("mapper", "cat.sh"), ("reducer", "cat.sh"), ("input", f"file://{tmp_path}/in.txt")):
        page.fill(f"[name={name}]", value)
    page.fill("[name=output]", f"file://{tmp_path}/out")
    assert desk.job(number_of(send(page)))["shape"] == "mapreduce"

    page.goto(f"{desk.base}{ADD}/instance/")
    for name, value in (("customer", "acme"), ("classification", "x"), ("machine_image", "ami-1")):
        page.fill(f"[name={name}]", value)
    page.fill("[name=region]", "eu-central-1")
    expect(page.locator("[data-errors=cloud]")).to_have_text("")
    page.select_option("[name=cloud]", "aws")
    expect(page.locator("[data-errors=cloud]")).to_contain_text("aws is not configured here")


def test_a_job_is_submitted_again_with_changes(desk: Desk) -> None:
    page = desk.sign_in()
    old = desk.submit(["true"], env={"KEY": "sesame"}, secret_env=["KEY"])
    page.goto(f"{desk.base}/admin/jobs/job/{old}/change/")
    page.get_by_role("link", name="Resubmit with changes").click()
    expect(page.locator("body")).to_contain_text("type those of KEY again")
    page.fill("[name=command]", "echo changed")
    expect(page.locator("[data-errors=secret_env]")).to_have_text("KEY has no value: type it, or take the line away.")
    page.fill("[name=secret_env]", "KEY=other")
    new = desk.job(number_of(send(page)))
    assert (new["retry_of"], new["command"]) == (old, ["echo", "changed"])


def test_without_scripts_check_and_submit_work(desk: Desk) -> None:
    page = desk.sign_in(java_script_enabled=False)
    page.goto(f"{desk.base}{ADD}/container/")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("[data-errors=customer]")).to_have_text("This field is required.")
    page.fill("[name=customer]", "acme")
    page.fill("[name=classification]", "nightly")
    page.fill("[name=command]", "echo plain")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#submit-aside")).to_contain_text("USD per hour")
    expect(page.locator("#submit-curl")).to_contain_text("$TOKEN")
    job = number_of(send(page))
    expect(page.locator("#job")).to_contain_text("Timeline")
    assert desk.job(job)["command"] == ["echo", "plain"]


# --- Watching ----------------------------------------------------------------------------------------


def watch_to_its_end(page: Page) -> None:
    """A job's page shows how it goes on, and is never loaded again."""
    page.evaluate(MARK)
    expect(page.locator("#log")).to_contain_text("line 2")
    expect(page.locator("#log")).to_contain_text("line 6")
    expect(page.locator("#job-status")).to_have_text("COMPLETED")
    expect(page.locator("[data-live=timeline]")).to_contain_text("RUNNING → COMPLETED")
    expect(page.locator("[data-live=executions]")).to_contain_text("COMPLETED")
    expect(page.locator("#job")).to_have_attribute("data-live-state", "ended")
    expect(page.locator("#log-note")).to_have_text("The job has ended.")
    assert page.locator("#log").inner_text().count("line 1") == 1
    assert page.evaluate(HAS_STAYED)


def test_a_job_s_page_follows_it_by_its_stream(desk: Desk) -> None:
    page = desk.sign_in()
    page.goto(f"{desk.base}/admin/jobs/job/{desk.submit(['sleep', '2'])}/change/")
    expect(page.locator("#job")).to_have_attribute("data-live-state", "streaming")
    expect(page.locator("[data-live-word]")).to_have_text("Live")
    page.goto(f"{desk.base}/admin/jobs/job/{desk.submit(['sh', '-c', TALKS])}/change/")
    watch_to_its_end(page)


@pytest.mark.parametrize("missing", ["stream", "EventSource"])
def test_without_its_stream_the_page_is_asked_instead(desk: Desk, missing: str) -> None:
    page = desk.sign_in()
    blocked: list[str] = []

    def block(route: Route) -> None:
        blocked.append(route.request.url)
        route.abort()

    if missing == "stream":
        page.route("**/logs/combined/", block)
    else:
        page.add_init_script("delete window.EventSource")
    page.goto(f"{desk.base}/admin/jobs/job/{desk.submit(['sh', '-c', TALKS + '; sleep 8'])}/change/")
    page.evaluate(MARK)
    expect(page.locator("#job")).to_have_attribute("data-live-state", "polling")
    expect(page.locator("[data-live-word]")).to_have_text("Asked every few seconds")
    expect(page.locator("#job-status")).to_have_text("RUNNING")
    watch_to_its_end(page)
    assert bool(blocked) == (missing == "stream")


def test_bars_of_mapreduce_jobs_and_recipes_move(desk: Desk, tmp_path: Path) -> None:
    _, text = desk.register()
    page = desk.sign_in()
    (tmp_path / "in.txt").write_text("a\n" * 6)
    desk.put_program("cat.sh")
    program = {"name": "cat.sh"}
    wish = {"mapper": program, "reducer": program, "input": f"file://{tmp_path}/in.txt", "split_bytes": 2}
    body = {"mapreduce": {**wish, "output": f"file://{tmp_path}/out"}, "vcpus": 0.1, "memory_mib": 64}
    job = desk.client.call("POST", "/v6/jobs/", body)["id"]
    page.goto(f"{desk.base}/admin/jobs/job/{job}/change/")
    page.evaluate(MARK)
    expect(page.locator("#job")).to_have_attribute("data-live-state", "streaming")
    expect(page.locator("[data-live=sections]")).to_contain_text("6 of 6")
    expect(page.locator("[data-live=sections] progress").first).to_have_attribute("value", "1000")
    expect(page.locator("#job-status")).to_have_text("COMPLETED")
    assert page.evaluate(HAS_STAYED)

    given = {"files": {"TEXT": [text]}}
    recipe = desk.client.call("POST", "/v6/recipes/", {"recipe_type": "copy-twice", "input": given})["id"]
    page.goto(f"{desk.base}/admin/jobs/recipe/{recipe}/change/")
    page.evaluate(MARK)
    expect(page.locator("progress.cp-bar")).to_have_attribute("value", "2")
    expect(page.locator("[data-live=head]")).to_contain_text("COMPLETED")
    assert page.evaluate(HAS_STAYED)
