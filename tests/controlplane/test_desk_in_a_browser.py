"""Every page of the admin in a real browser: for people who read large, in the dark, by keyboard or by ear.

axe-core (https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md) judges by WCAG 2.2, A and AA.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.chromium import PASSWORD, opened_page, sign_in
from tests.deployment import Factory

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.runs_once("postgresql", "it is about what browsers show")]
WIDE: Final = {"width": 1440, "height": 900}
TWICE: Final = {"width": 720, "height": 450}  # what is left of it at 200 %
RULES: Final = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}
CONTRAST: Final = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
PARTS: Final = 2  # of the pages, to be looked at side by side
GRAVE: Final = ("serious", "critical")
TWO_JOBS: Final = """
import json
from tests.factories import make_jobs
jobs = make_jobs(2)
print(json.dumps([jobs[-1].submitted_at.isoformat(), jobs[-1].pk]))
"""
TOO_WIDE: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Heard:
    """What a browser asked for elsewhere and complained of."""

    base: str
    faults: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        def on_request(request: Request) -> None:
            if not request.url.startswith((self.base, "data:", "blob:")):
                self.faults.append(f"asked {request.url}")

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.faults.append(f"console: {message.text}")

        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_page(viewport=WIDE, color_scheme="light", reduced_motion="reduce") as page:
        yield page


@pytest.mark.group("controlplane")
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_can_be_read_and_reached_by_everybody(deployment: Factory, page: Page, part: int) -> None:
    place = deployment(DEBUG="1")
    place.bootstrap("anna", PASSWORD)
    paths = [path for path in place.furnish() if not path.endswith("/csv/")]  # a file is no page
    base = place.start_web()
    sign_in(page, base)
    heard = Heard(base)
    heard.listen(page)
    faults: dict[str, list[str]] = {}
    for path in paths[part::PARTS]:
        found = _faults_of(page, base + path)
        found += heard.faults
        heard.faults = []
        if found:
            faults[path] = found
    assert not faults, "\n".join(f"{path}\n    " + "\n    ".join(found) for path, found in faults.items())


def _faults_of(page: Page, address: str) -> list[str]:
    page.goto(address)
    page.evaluate(Axe().axe_script)
    found = _violations(page, RULES, "")
    page.evaluate("document.documentElement.classList.add('dark')")  # as its switch does, without another load
    found += _violations(page, CONTRAST, "dark: ")
    page.set_viewport_size(TWICE)  # type: ignore[arg-type]
    if (beyond := page.evaluate(TOO_WIDE)) > 0:
        found.append(f"at 200 % it is {beyond} pixels too wide")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    return found


def _violations(page: Page, rules: dict[str, Any], what: str) -> list[str]:
    found = page.evaluate("rules => axe.run(rules).then(found => found.violations)", rules)
    return [
        f"{what}{each['id']} ({each['impact']}): {node['html'][:200]} {_why(node)}"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"][:3]
    ]


def _why(node: dict[str, Any]) -> str:
    return " ".join(check["message"] for check in node["any"][:1])[:200]


@pytest.mark.group("controlplane")
def test_times_are_the_reader_s_and_keys_lead_through_a_list(deployment: Factory, page: Page) -> None:
    place = deployment(DEBUG="1")
    place.bootstrap("anna", PASSWORD)
    at, newest = json.loads(place.run_python(TWO_JOBS))
    base = place.start_web()
    assert page.context.browser is not None
    reader = page.context.browser.new_context(timezone_id="Asia/Tokyo", viewport=WIDE).new_page()  # type: ignore[arg-type]
    sign_in(reader, base)
    heard = Heard(base)
    heard.listen(reader)

    reader.goto(f"{base}/admin/jobs/job/")
    utc = datetime.fromisoformat(at)
    shown = reader.locator("#result_list time").first
    expect(shown).to_have_text(f"{utc + timedelta(hours=9):%Y-%m-%d %H:%M:%S}")
    expect(shown).to_have_attribute("title", f"{utc:%Y-%m-%d %H:%M:%S} UTC")

    reader.keyboard.press("/")
    expect(reader.locator("input[name=q]:focus")).to_have_count(1)
    reader.keyboard.press("j")  # a letter, as long as somebody types
    expect(reader.locator("tr.cp-current")).to_have_count(0)
    reader.keyboard.press("Escape")
    for key in ("j", "j", "k", "k", "j", "k"):
        reader.keyboard.press(key)
    expect(reader.locator("tr.cp-current")).to_have_count(1)
    reader.keyboard.press("o")
    expect(reader).to_have_url(f"{base}/admin/jobs/job/{newest}/change/")
    reader.wait_for_load_state()

    reader.keyboard.press("?")
    expect(reader.locator("dialog.cp-keys")).to_be_visible()
    reader.uncheck("#cp-keys-on")
    reader.keyboard.press("Escape")
    reader.goto(f"{base}/admin/jobs/job/")
    reader.keyboard.press("j")
    expect(reader.locator("tr.cp-current")).to_have_count(0)
    assert heard.faults == []
