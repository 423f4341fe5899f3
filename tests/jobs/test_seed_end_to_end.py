"""A real deployment runs Seed jobs: over HTTP, with the program that ships with the project."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.factories import manifest_of

sys.path.insert(0, str(CHECKOUT / "deploy"))  # its scripts import each other as they do when they are run
import seed_tour as seed_tour
from seed_tour import raw, upload

LONG = 60.0
SLOW = 'sh -c \'while [ ! -e "$OUTPUT_DIR/../go" ]; do sleep 0.05; done; cp "$TEXT" "$OUTPUT_DIR/counts.txt"\''
OUTPUTS = {"files": [{"name": "COUNTS", "pattern": "counts.txt"}]}


class Client:
    """A client of one deployment's native surface, with the token of its first admin."""

    def __init__(self, place: Deployment) -> None:
        self.place = place
        self.base = place.base_url
        self.headers = {"Authorization": f"Bearer {place.token}"}

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": kind}
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LONG) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text.startswith(("{", "[")) else text


def check(condition: bool, otherwise: str) -> None:
    assert condition, otherwise


@pytest.fixture
def place(deployment: Factory) -> Deployment:
    made = deployment(LOCAL_READABLE_PATHS=str(seed_tour.HERE), LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    made.bootstrap("root")
    made.start_web()
    return made


def wait(condition: Callable[[], bool], place: Deployment) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, place.logs()
        time.sleep(0.02)


def test_the_tour_of_the_demo(place: Deployment) -> None:
    place.start_manage("work")
    seed_tour.walk(Client(place), place.data_dir / "workspaces", check)


def test_a_running_job_survives_the_death_of_the_workers(place: Deployment) -> None:
    """Everything of `work` is killed while the command runs; the command ends; new workers keep its output."""
    client = Client(place)
    broker = {"type": "host", "host_path": str(place.data_dir / "workspaces" / "texts")}
    client.call("POST", "/v6/workspaces/", {"name": "texts", "title": "Texts", "configuration": {"broker": broker}})
    manifest = manifest_of("slow", command=SLOW, inputs={"files": [{"name": "TEXT"}]}, outputs=OUTPUTS)
    wish = {
        "docker_image": "slow:1",
        "manifest": manifest,
        "configuration": {"output_workspaces": {"default": "texts"}},
    }
    job_type = client.call("POST", "/v6/job-types/", wish)
    file = upload(client, seed_tour.HERE / "seed.manifest.json")
    work = place.start_manage("work")
    body = {"job_type_id": job_type["id"], "input": {"files": {"TEXT": [file]}}}
    path = f"/v6/jobs/{client.call('POST', '/v6/jobs/', body)['id']}/"
    wait(lambda: client.call("GET", path)["status"] == "RUNNING", place)
    uuid = client.call("GET", path)["execution"]["uuid"]
    kill_workers(place, work)
    place.start_manage("work")
    (place.data_dir / "local" / "local" / "staging" / uuid / "go").touch()
    wait(lambda: client.call("GET", path)["status"] == "COMPLETED", place)
    job = client.call("GET", path)
    (kept,) = job["output"]["files"]["COUNTS"]
    original = (seed_tour.HERE / "seed.manifest.json").read_bytes()
    assert raw(client, f"/v6/files/{kept}/content/") == original
    assert job["num_exes"] == 1


def kill_workers(place: Deployment, work: subprocess.Popen[bytes]) -> None:
    """Kill the supervisor and its clusters, but not the runner nor what it runs."""
    for process in place.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            command = process.cmdline()
            if "manage.py" in " ".join(command) and {"work", "cluster"} & set(command):
                process.kill()
    work.wait(LONG)
