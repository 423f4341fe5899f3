"""cpctl on a terminal of its own, as somebody who sits before it sees it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.controlplane.cli.program import Program


@dataclass(frozen=True, slots=True)
class Seen:
    returncode: int
    text: str


def on_terminal(
    program: Program, *arguments: str, typed: str = "", at: str = "", stdout: Any = None, **env: str
) -> Seen:
    """Run cpctl on a pseudo-terminal, and type `typed` once it has printed `at`; `stdout` may be a file."""
    master, slave = pty.openpty()
    size = {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "controlplane.cli", *arguments],
        cwd=program.home, env=program.environment | size | env, start_new_session=True,
        stdin=slave, stdout=slave if stdout is None else stdout, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not piece:
                break
            seen += piece
            if typed and at.encode() in seen:
                os.write(master, typed.encode())
                typed = ""
        return Seen(process.wait(10), seen.decode(errors="replace"))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
