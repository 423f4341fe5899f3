"""The soak is seldom run: that it begins is seen here."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.environment import CHECKOUT


def test_the_soak_begins_and_says_what_its_parts_are() -> None:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--help"], cwd=CHECKOUT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"--jobs", "--splits", "--schema-calls"} <= set(done.stdout.replace("]", " ").replace("[", " ").split())
