"""`make screenshots`: pictures of the main pages of the admin, light and dark, into docs/screenshots.

It starts a fresh deployment in .data/screenshots/deployment, brings jobs into several states, and looks at
the pages with the Chromium of this machine.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
import sys
import time
from typing import Any, Final

import seed_tour
from demo import CHECKOUT, Client, Failed, check, fresh_deployment, manage, served, wait_for
from playwright.sync_api import Error, Page, sync_playwright

PICTURES: Final = CHECKOUT / "docs" / "screenshots"
DEPLOYMENT: Final = CHECKOUT / ".data" / "screenshots" / "deployment"
SIZE: Final = {"width": 1440, "height": 900}
TALLEST: Final = 1400  # pixels: what stands below says no more of how a page looks
TALKS: Final = "for n in $(seq 1 600); do echo frame $n of 600 encoded; sleep 0.5; done"


def main() -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no chromium on this machine: install it to take pictures.")
        return 1
    environment = fresh_deployment(DEPLOYMENT)
    password = secrets.token_urlsafe(9)
    manage(environment, "migrate", "--verbosity", "0")
    token = manage(environment, "bootstrap", "--username", "anna", f"--password={password}", "--quiet").strip()
    try:
        with served(environment, DEPLOYMENT) as base:
            operator = Client(
                base, Client(base, token).call("POST", "/add-user?role=operator", {"user": "mary"})["token"]
            )
            scene = {**stage(operator), **stage_seed(operator)}
            take_pictures(base, chromium, password, scene)
    except Failed as error:
        print(f"NOT AS IT SHOULD BE: {error}\nThe server's own words are in {DEPLOYMENT / 'serve.log'}.")
        return 1
    return 0


def stage(client: Client) -> dict[str, Any]:
    """Jobs that ran, run, wait, failed and were cancelled; and an operation on some of them."""
    # More than this machine has: they wait for good.
    waiting = [submit(client, "render", "sleep 5", vcpus=512, tags={"scene": str(n)}) for n in range(45)]
    talking = submit(client, "transcode", TALKS, priority=50, env={"API_KEY": "hidden", "PRESET": "1080p"})
    failed = [submit(client, "thumbnails", "echo no such frame >&2; exit 3", customer="globex") for _ in range(3)]
    ended = [submit(client, "probe", "echo 1920x1080") for _ in range(5)]
    stopped = submit(client, "ingest", "sleep 600")
    for job in (talking, stopped):
        wait_for(client, job["uuid"], "RUNNING")
    client.call("POST", f"/v6/jobs/{stopped['id']}/cancel/")
    for job in (*failed, *ended):
        wait_for_end(client, job)
    wait_for_end(client, client.call("POST", f"/v6/jobs/{failed[0]['id']}/retry/"))
    chosen = [str(job["id"]) for job in (*waiting[5:40], *failed, *ended)]
    operation = client.call("POST", "/v6/jobs/hold/", {"job_id": chosen, "hint": "The lens is being changed"})
    wait_for_operation(client, operation["id"])
    return {"talking": talking["id"], "failed": failed[0]["id"]}


def stage_seed(client: Client) -> dict[str, Any]:
    """What the demo does with a Seed job type, and two changes of the type."""
    with contextlib.redirect_stdout(io.StringIO()):
        seed_tour.walk(client, DEPLOYMENT / "workspaces", check)
    job_type = client.call("GET", f"/v6/job-types/{seed_tour.NAME}/1.0.0/")
    client.call("PATCH", f"/v6/job-types/{seed_tour.NAME}/1.0.0/", {"max_scheduled": 8})
    client.call("PATCH", f"/v6/job-types/{seed_tour.NAME}/1.0.0/", {"is_paused": True})
    return {"job_type": job_type["id"]}


def submit(client: Client, name: str, script: str, **wish: Any) -> dict[str, Any]:
    body = {"customer": "acme", "classification": name, "command": ["sh", "-c", script], "image": "busybox"}
    made: dict[str, Any] = client.call("POST", "/v6/jobs/", {**body, "vcpus": 0.1, "memory_mib": 128, **wish})
    return made


def wait_for_end(client: Client, job: dict[str, Any]) -> None:
    deadline = time.monotonic() + 60
    while client.status(job["uuid"])[0] in ("QUEUED", "RUNNING"):
        if time.monotonic() > deadline:
            raise Failed(f"job {job['uuid']} has not ended")
        time.sleep(0.1)


def wait_for_operation(client: Client, operation_id: int) -> None:
    deadline = time.monotonic() + 60
    while client.call("GET", f"/v6/operations/{operation_id}/")["status"] in ("WAITING", "RUNNING"):
        if time.monotonic() > deadline:
            raise Failed(f"operation {operation_id} has not ended")
        time.sleep(0.2)


def take_pictures(base: str, chromium: str, password: str, scene: dict[str, Any]) -> None:
    pages = {
        "front": "/admin/",
        "jobs": "/admin/jobs/job/",
        "job-running": f"/admin/jobs/job/{scene['talking']}/change/",
        "job-failed": f"/admin/jobs/job/{scene['failed']}/change/",
        "waiting": "/admin/jobs/waiting/",
        "failures": "/admin/jobs/failurecluster/",
        "submit": "/admin/jobs/job/add/container/",
        "job-type": f"/admin/jobtypes/jobtype/{scene['job_type']}/change/",
        "history": f"/admin/jobtypes/jobtype/{scene['job_type']}/history/",
        "spend": "/admin/billing/spend/",
    }
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True)
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport=SIZE)  # type: ignore[arg-type]
            page = context.new_page()
            said = faults_of(page)
            sign_in(page, base, password)
            for name, path in pages.items():
                page.goto(base + path)
                page.wait_for_timeout(1500)  # the log comes in
                target = PICTURES / f"{name}-{scheme}.png"
                height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
                page.set_viewport_size({"width": SIZE["width"], "height": max(height, SIZE["height"])})
                page.screenshot(path=str(target))
                page.set_viewport_size(SIZE)  # type: ignore[arg-type]
                print(target.relative_to(CHECKOUT))
            context.close()
            if said:
                raise Failed(f"scripts failed: {said}")
        browser.close()


def faults_of(page: Page) -> list[Error]:
    """What scripts of the page fail with, from now on."""
    said: list[Error] = []

    def hear(error: Error) -> None:
        said.append(error)

    page.on("pageerror", hear)
    return said


def sign_in(page: Page, base: str, password: str) -> None:
    page.goto(f"{base}/admin/login/")
    page.fill("input[name=username]", "anna")
    page.fill("input[name=password]", password)
    page.click("button[type=submit], input[type=submit]")
    page.wait_for_url(f"{base}/admin/")


if __name__ == "__main__":
    sys.exit(main())
