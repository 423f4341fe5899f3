"""What docs/cpctl.md tells people to type is typed here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.deployment import Factory
from tests.environment import CHECKOUT

pytestmark = pytest.mark.runs_once("postgresql", "cpctl sees the API only")

PAGE = (CHECKOUT / "docs" / "cpctl.md").read_text()


def _tour() -> str:
    """The shell blocks of the tour, but the server's own."""
    section = PAGE.split("## A tour")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return "\n".join(block for block in blocks if not block.startswith("make serve"))


def test_the_tour_works_as_it_is_written(deployment: Factory, tmp_path: Path) -> None:
    # Few enough vCPUs that not all of the many jobs start.
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_VCPUS="2")
    place.start_manage("work")
    base = place.start_web()
    script = _tour().replace("http://127.0.0.1:8000", base)
    assert base in script
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=CHECKOUT, env=place.env | {"XDG_CONFIG_HOME": str(tmp_path)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("username\troot", "hello\ndone\n", "me knows a PIN", "until the backup is through", "43 jobs"):
        assert text in done.stdout, done.stdout + done.stderr
    assert "error: " not in done.stderr.replace("error: job ", "")
