"""What is kept of long-running containers beside the engine: a folder each, for our user only.

    ROOT/containers/<name>/
        wish      what is to run, with its secrets, and the how manieth asking that is
        ledger    what its keeper has come to
        retired   it is to go; when nothing is left of it, these three go
        runs/<run>/
            service   what this run was made of, while there is a container of it
            stdout    what it wrote, both streams, copied when it was over; `exit`: how it ended

Whoever changes a wish, or takes a folder away, holds a lock on ROOT, so that several processes may. A ledger is written
by the keeper only, and everything is read without a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from clusters.providers.hosting import HealthCheck, Port, Protocol, Service
from clusters.providers.local import folders

_CHANGING: Final = "containers.changing"
_RUN: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to run. Each asking for another, or for the same once more, is another attempt."""

    attempt: int
    service: Service


@dataclass(slots=True)
class Ledger:
    """What the keeper has come to with a container. Times are seconds since the epoch.

    `serving` is the run that was ready last, and `good` what it was made of. `failures` and `refusals` count the starts
    in a row that did not become ready, and those that the engine refused; after one of them nothing starts before
    `again_at`. `given_up`: why the present attempt is over; "" while it is not.
    """

    attempt: int = 0
    serving: str = ""
    good: Service | None = None
    starts: int = 0  # of the present attempt
    restarts: int = 0
    failures: int = 0
    refusals: int = 0
    again_at: float = 0.0
    given_up: str = ""
    last_end: str = ""
    health: dict[str, bool] = field(default_factory=dict)  # by run

    def begin(self, attempt: int) -> None:
        """Note that something is asked for anew."""
        self.attempt, self.starts, self.given_up = attempt, 0, ""
        self.clear()

    def clear(self) -> None:
        """Forget what went wrong so far."""
        self.failures = self.refusals = 0
        self.again_at = 0.0


class Hosted:
    """One container's folder. `name` is a UUID's text."""

    def __init__(self, root: str, name: str) -> None:
        self.name = name
        self._root = root
        self._folder = f"{root}/containers/{name}"

    @property
    def is_retired(self) -> bool:
        return os.path.exists(f"{self._folder}/retired")

    @property
    def stands(self) -> bool:
        """Is it wanted, or not gone yet?"""
        return self.is_retired or os.path.exists(f"{self._folder}/wish")

    def wish(self) -> Wish | None:
        kept = _read(f"{self._folder}/wish")
        return Wish(int(kept["attempt"]), _service(kept["service"])) if kept else None

    def ledger(self) -> Ledger:
        kept = _read(f"{self._folder}/ledger") or {}
        if kept.get("good"):
            kept["good"] = _service(kept["good"])
        return Ledger(**kept)

    def want(self, attempt: int, service: Service) -> None:
        """Write the wish. The caller holds the lock."""
        _make_folders(self._root, "containers", self.name)
        folders.write_whole(f"{self._folder}/wish", json.dumps({"attempt": attempt, "service": asdict(service)}))

    def note(self, ledger: Ledger) -> None:
        folders.write_whole(f"{self._folder}/ledger", json.dumps(asdict(ledger)))

    def retire(self) -> None:
        """Note that it is to go. The caller holds the lock."""
        _make_folders(self._root, "containers", self.name)
        Path(self._folder, "retired").touch(0o600)

    def finish(self) -> None:
        """Note that it is gone. What says that it was to go is the last, so that a crash is made good."""
        for kept in ("ledger", "wish", "retired"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{kept}")

    # Runs

    def run_folder(self, run: str) -> str:
        return f"{self._folder}/runs/{run}"

    def runs(self) -> list[str]:
        """The oldest first."""
        try:
            return sorted(filter(is_run, os.listdir(f"{self._folder}/runs")))
        except FileNotFoundError:
            return []

    def begin_run(self, service: Service) -> str:
        """Make the folder of a new run, later than all others."""
        last = max((int(run, 16) for run in self.runs()), default=0)
        run = f"{max(time.time_ns(), last + 1):016x}"
        _make_folders(self._root, "containers", self.name, "runs", run)
        folders.write_whole(f"{self.run_folder(run)}/service", json.dumps(asdict(service)))
        return run

    def service_of(self, run: str) -> Service | None:
        """What a run was made of; None when that is not known (any more)."""
        kept = _read(f"{self.run_folder(run)}/service")
        return _service(kept) if kept else None

    def end_run(self, run: str, record: folders.Ended) -> None:
        folder = self.run_folder(run)
        folders.write_exit(folder, record)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/service")

    def prune(self, keep_runs: int, keep_seconds: float) -> None:
        """Remove what ended runs wrote, all but the newest; of what is gone, all of it after some time."""
        ended = [run for run in self.runs() if folders.has_ended(self.run_folder(run))]
        for run in ended[:-keep_runs]:
            shutil.rmtree(self.run_folder(run), ignore_errors=True)
        with changing(self._root):
            if not self.stands and time.time() - _newest_change(self._folder) > keep_seconds:
                shutil.rmtree(self._folder, ignore_errors=True)


def names(root: str) -> list[str]:
    """Of whom there is a folder."""
    try:
        return [name for name in os.listdir(f"{root}/containers") if folders.is_execution_id(name)]
    except FileNotFoundError:
        return []


def is_run(text: str) -> bool:
    return _RUN.fullmatch(text) is not None


def begun_at(run: str) -> float:
    """When a run was begun, in Unix seconds: its name is that in nanoseconds, so that no two services share one."""
    return int(run, 16) / 10**9


@contextlib.contextmanager
def changing(root: str) -> Iterator[None]:
    """Hold the lock of those who change wishes."""
    os.makedirs(root, 0o700, exist_ok=True)
    fd = os.open(f"{root}/{_CHANGING}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _make_folders(path: str, *names: str) -> None:
    """Each for our user only; those that are there are kept."""
    os.makedirs(path, 0o700, exist_ok=True)
    for name in names:
        path = f"{path}/{name}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def _newest_change(folder: str) -> float:
    with contextlib.suppress(FileNotFoundError):
        return max(os.stat(path).st_mtime for path in (folder, f"{folder}/runs") if os.path.exists(path))
    return 0.0


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):  # a power cut may leave an empty one
        return None
    return found if isinstance(found, dict) else None


def _service(kept: dict[str, Any]) -> Service:
    check = kept["health_check"]
    ports = [Port(port["number"], Protocol(port["protocol"])) for port in kept["ports"]]
    return Service(**{**kept, "ports": ports, "health_check": HealthCheck(**check) if check else None})
