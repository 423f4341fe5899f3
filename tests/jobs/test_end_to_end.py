"""A real deployment does the main job: web, workers, runner and commands, over HTTP."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.deployment import Deployment, Factory

LONG = 60.0


class Api:
    """A Mapsor client of one deployment."""

    def __init__(self, place: Deployment) -> None:
        self.place = place
        self.token = place.token

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.place.base_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=LONG) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        return status, json.loads(text) if text.startswith("{") else text

    def submit(self, *command: str, **fields: Any) -> str:
        job = {"customer": "acme", "cloud": "local", "region": "local", "id": "t", "image": "x", "command": command}
        status, answer = self.call("/submit", {**job, **fields})
        assert status == 200, answer
        return str(answer["job_id"])

    def status(self, job: str) -> tuple[str, str]:
        _, answer = self.call(f"/status/{job}")
        return answer["status"], answer["reason"]

    def until(self, job: str, condition: Callable[[str], bool]) -> tuple[str, str]:
        deadline = time.monotonic() + LONG
        while not condition((seen := self.status(job))[0]):
            assert time.monotonic() < deadline, f"{job} is {seen}\n{self.place.logs()}"
            time.sleep(0.02)
        return seen

    def ended(self, job: str) -> tuple[str, str]:
        return self.until(job, lambda status: status in ("SUCCEEDED", "FAILED", "CANCELLED", "REJECTED"))


@pytest.fixture
def api(deployment: Factory) -> Api:
    place = deployment(DEBUG="1", LOCAL_VCPUS="2", LOCAL_ISOLATION="0", RETRY_BACKOFF_SECONDS="1")
    place.bootstrap("root")
    place.start_manage("work")
    place.start_web()
    return Api(place)


def test_jobs_of_every_fate_end_as_they_should(api: Api) -> None:
    good = api.submit("sh", "-c", "echo $WORD; echo $0 >&2", env={"WORD": "grüße"})
    failing = api.submit("sh", "-c", "exit 3")
    missing = api.submit("no-such-program")
    slow = api.submit("sleep", "600", timeout=1)
    stopped = api.submit("sleep", "600", priority="HIGH")
    waiting = api.submit("true", resources={"vcpus": 9999})
    api.until(stopped, lambda status: status == "RUNNING")
    assert api.call(f"/cancel/{stopped}")[0] == 200
    assert api.ended(good) == ("SUCCEEDED", "")
    assert api.call(f"/logs/{good}") == (200, "grüße\nsh\n")
    assert api.ended(failing) == ("FAILED", "EXIT_3")
    assert api.ended(missing) == ("FAILED", "CANNOT_START")
    assert api.ended(slow) == ("FAILED", "TIMEOUT")
    assert api.ended(stopped) == ("CANCELLED", "CANCELED_BY_USER")
    assert api.status(waiting) == ("QUEUED", "TOO_LARGE_VCPUS")
    again = api.call(f"/retry/{failing}")[1]["job_id"]
    assert api.ended(again) == ("FAILED", "EXIT_3")
    assert api.call(f"/cancel/{waiting}")[1] == {"response": "Job cancelled"}


def test_a_restart_of_the_workers_finds_running_jobs_again(api: Api) -> None:
    job = api.submit("sh", "-c", "while [ ! -e ../go ]; do sleep 0.05; done; echo went on")
    api.until(job, lambda status: status == "RUNNING")
    workers = next(process for title, process in api.place._started if title == "work")
    workers.terminate()
    assert workers.wait(LONG) == 0
    api.place.start_manage("work")
    (execution,) = api.place.data_dir.glob("local/local/executions/*/*")
    (execution / "go").touch()
    assert api.ended(job) == ("SUCCEEDED", "")
    assert api.call(f"/logs/{job}")[1] == "went on\n"
    assert api.place.rows("SELECT count(*) FROM jobs_execution") == [(1,)]


def test_nothing_is_left_when_all_is_stopped_and_jobs_have_ended(api: Api) -> None:
    assert api.ended(api.submit("true")) == ("SUCCEEDED", "")
    for _, process in api.place._started:
        process.terminate()
        process.wait(LONG)
    deadline = time.monotonic() + LONG
    while api.place.processes():
        assert time.monotonic() < deadline, api.place.processes()
        time.sleep(0.05)
