"""A Python client made from the schema builds, and does a user's round with a real deployment."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

import pytest

from tests.contracts import harness
from tests.deployment import Factory

pytestmark = pytest.mark.runs_once("postgresql", "clients see the API only")

PACKAGE: Final = "control_plane_client"
PASSWORD: Final = "correct horse battery staple"


def make_client(folder: Path) -> None:
    """The package, as docs/api.md tells users to make it."""
    schema, settings = folder / "openapi.json", folder / "settings.json"
    schema.write_text(json.dumps(harness.generated().content))
    settings.write_text(json.dumps({"package_name_override": PACKAGE, "post_hooks": []}))
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(schema), "--config", str(settings),
         "--meta", "none", "--output-path", str(folder / PACKAGE), "--fail-on-warning"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr


def wait_until_ready(base: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/readyz", timeout=5):
            return
        assert time.monotonic() < deadline, "it does not become ready"
        time.sleep(0.1)


def test_it_builds_and_does_a_tour(deployment: Factory, tmp_path: Path) -> None:
    make_client(tmp_path)
    place = deployment(LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1", LOCAL_VCPUS="1")
    place.bootstrap("anna", PASSWORD)
    place.start_manage("work")
    base = place.start_web()
    wait_until_ready(base)  # until the worker has reported, jobs wait for it as well
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("client_tour.py")), base, "anna", PASSWORD],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    assert done.stdout.splitlines() == [
        "logged in",
        "paused: True",
        "submitted: tour of acme, QUEUED",
        "submitted 3 more",
        "held: True",
        "explained: ['HELD', 'PAUSED']",
        "shown: True",
        "listed: 4",
        "cancelled: COMPLETED, 4 of 4",
        "refused: NOT_FOUND",
    ]
