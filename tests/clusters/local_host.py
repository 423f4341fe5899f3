"""A root folder of a test's own, with whatever runners it starts; all of it is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clusters.providers.local import sessions
from clusters.providers.local.provider import LocalProvider
from tests.clusters.provider_contract import eventually

LOG_CAP_BYTES = 128 << 10
GRACE_SECONDS = 0.6


class LocalHost:
    """One root folder; makes providers for it."""

    def __init__(self, root: Path) -> None:
        self.root = self._made = root
        self.providers: list[LocalProvider] = []

    def provider(self, **wishes: object) -> LocalProvider:
        settings: dict[str, object] = {
            "vcpus_milli": 8000,
            "memory_mib": 8192,
            "log_cap_bytes": LOG_CAP_BYTES,
            "isolate": False,
            "grace_seconds": GRACE_SECONDS,
        }
        provider = LocalProvider(self.root, **{**settings, **wishes})  # type: ignore[arg-type]
        self.providers.append(provider)
        return provider

    def runners(self) -> list[int]:
        """Process ids of this root's runners."""
        wanted = f"--root={self.root}".encode()
        return [process.pid for process in sessions.processes() if wanted in _command_line(process.pid)]

    def runner(self) -> int:
        """The one runner. A command that is just being started looks like a second one for a moment."""
        eventually(lambda: len(self.runners()) == 1, "one runner")
        return self.runners()[0]

    def folder(self, execution_id: str) -> Path:
        return self.root / "executions" / execution_id[-2:] / execution_id

    def processes(self) -> list[int]:
        """Living processes that work in this root or write to it."""
        return [
            process.pid
            for process in sessions.processes()
            if not process.is_zombie and process.pid != os.getpid() and self._is_here(process.pid)
        ]

    def _is_here(self, pid: int) -> bool:
        for link in ("cwd", "fd/1", "fd/2"):
            with contextlib.suppress(OSError):
                if self.is_work(os.readlink(f"/proc/{pid}/{link}")):
                    return True
        return False

    def is_work(self, path: str) -> bool:
        """Whether it is a path where commands work or write to."""
        return path.startswith(f"{self.root}/executions/")

    def kill_runners(self) -> None:
        """SIGKILL them, and wait until their sockets and locks are gone with them."""
        killed = set(self.runners())
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(one.pid in killed and not one.is_zombie for one in sessions.processes()))

    def clear(self) -> None:
        for provider in self.providers:
            provider.close()
        self.kill_runners()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._made, ignore_errors=True)


def _command_line(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@contextlib.contextmanager
def local_host() -> Iterator[LocalHost]:
    """For a fixture."""
    host = LocalHost(Path(tempfile.mkdtemp(prefix="local-")).resolve())
    try:
        yield host
    finally:
        host.clear()
