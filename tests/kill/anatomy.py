"""Which process of a deployment is which: found from those that the test started, by parent, never by name."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Final

import psutil

from tests.deployment import MARK, Deployment

PULSE: Final = "pulse-local"
WORK: Final = "work"
WORKERS: Final = {PULSE: 1, WORK: 2}
ANSWER_SECONDS: Final = 2.0


class Anatomy:
    """The processes of one deployment whose `manage.py work` was started by this process."""

    def __init__(self, place: Deployment) -> None:
        self.place = place
        self.root = place.data_dir / "local" / "local"
        self.work: subprocess.Popen[bytes] | None = None

    def start_work(self) -> None:
        self.work = self.place.start_manage("work")

    def supervisor(self) -> psutil.Process | None:
        return psutil.Process(self.work.pid) if self.work is not None and self.work.poll() is None else None

    def main(self, cluster: str) -> psutil.Process | None:
        """The process of `manage.py cluster`."""
        supervisor = self.supervisor()
        mains = _children(supervisor) if supervisor is not None else []
        return next((main for main in mains if cluster in _command_line(main)), None)

    def sentinel(self, cluster: str) -> psutil.Process | None:
        main = self.main(cluster)
        return next(iter(_children(main)), None) if main is not None else None

    def parts(self, cluster: str) -> list[psutil.Process]:
        """Workers, monitor and pusher, in this order; empty while they are not all there.

        A sentinel starts them in this order, and one that has lost a part is replaced whole.
        """
        sentinel = self.sentinel(cluster)
        parts = _children(sentinel) if sentinel is not None else []
        return parts if len(parts) == WORKERS[cluster] + 2 else []

    def workers(self, cluster: str) -> list[psutil.Process]:
        return self.parts(cluster)[: WORKERS[cluster]]

    def whole(self, cluster: str) -> list[psutil.Process]:
        """All processes of a cluster; empty while they are not all there."""
        main, sentinel, parts = self.main(cluster), self.sentinel(cluster), self.parts(cluster)
        return [main, sentinel, *parts] if main is not None and sentinel is not None and parts else []

    def web_master(self) -> psutil.Process | None:
        started_here = _children(psutil.Process())
        return next((one for one in started_here if "gunicorn" in _command_line(one) and self._is_ours(one)), None)

    def web_workers(self) -> list[psutil.Process]:
        master = self.web_master()
        return _children(master) if master is not None else []

    def runner(self) -> psutil.Process | None:
        """The runner that answers at this deployment's own socket."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            return psutil.Process(_status(str(self.root / "runner.sock"))["pid"])
        return None

    def living(self) -> list[psutil.Process]:
        """Everything alive that has to do with this deployment's folder, by environment, command line or place."""
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and self._touches(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == str(self.place.folder)
        except psutil.Error:
            return False

    def _touches(self, process: psutil.Process) -> bool:
        folder = str(self.place.folder)
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            texts = [*process.environ().values(), *process.cmdline(), process.cwd()]
        except (psutil.Error, OSError):
            return False
        return any(folder in text for text in texts)


def lives(process: psutil.Process) -> bool:
    """Is it running: neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def name_of(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def command_of(process: psutil.Process) -> str:
    try:
        return f"{process.pid}, child of {process.ppid()}, in {process.cwd()}: {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid}: gone"


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until the condition holds; AssertionError that says `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def _children(process: psutil.Process) -> list[psutil.Process]:
    """The living children, in the order in which they were started."""
    try:
        children = process.children()
        return sorted(filter(lives, children), key=lambda child: (child.create_time(), child.pid))
    except psutil.Error:
        return []


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _status(path: str) -> dict[str, int]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(path)
        client.sendall(b'{"op": "status"}\n')
        with client.makefile("rb") as answers:
            for line in answers:
                message = json.loads(line)
                if "status" in message:
                    status: dict[str, int] = message["status"]
                    return status
    raise ValueError("hung up")
