"""cpctl as a process of its own, as people and scripts start it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.environment import CHECKOUT

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass
class Program:
    """Runs cpctl with a home of its own."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        own = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"), "PYTHONPATH": str(CHECKOUT)}
        return passed | own | self.env

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 60, **env: str) -> Any:
        """Run to the end: `.returncode`, `.stdout`, `.stderr`."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "controlplane.cli", *arguments],
            cwd=self.home, env=self.environment | env, input=stdin, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @property
    def config_file(self) -> Path:
        return self.home / "config" / "cpctl" / "config.json"
