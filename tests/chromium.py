"""A real browser for tests, and the admin's sign-in form."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

PASSWORD: Final = "correct horse battery staple"
PATIENCE_MS: Final = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened_page(browser: Browser | None = None, **context: Any) -> Iterator[Page]:
    """A page of a browser of its own, or of this one; `context` says how it is, such as its viewport."""
    with chromium() if browser is None else nullcontext(browser) as opened:
        page = opened.new_context(**context).new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        page.context.close()


def sign_in(page: Page, base: str, password: str = PASSWORD) -> None:
    """Sign anna in by the form, which leads to the front page."""
    page.goto(f"{base}/admin/")
    page.fill("input[name=username]", "anna")
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    expect(page).to_have_url(f"{base}/admin/", timeout=PATIENCE_MS)
