"""Trials of ports from within a container, for places that can only run commands there."""

from __future__ import annotations

import shlex


def trial(port: int, path: str) -> str:
    """A line of shell that tries a port from within the container, by whatever of four programs its image has."""
    if path:
        url = shlex.quote(f"http://127.0.0.1:{port}{path}")
        return f"if command -v curl >/dev/null; then curl -fsS -o /dev/null {url}; else wget -q -O /dev/null {url}; fi"
    with_bash = shlex.quote(f"</dev/tcp/127.0.0.1/{port}")
    return f"if command -v nc >/dev/null; then nc -z 127.0.0.1 {port}; else bash -c {with_bash}; fi"
