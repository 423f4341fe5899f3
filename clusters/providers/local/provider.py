"""The `local` provider: jobs run on the machine the control plane stands on, by way of the runner."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from clusters.providers.base import STREAMS, Capacity, End, LogPage, Observation, Phase, Provider, Streaming, Work
from clusters.providers.errors import NotFound, ProviderError, Refused
from clusters.providers.local import folders, isolation
from clusters.providers.local.client import Connection, Message
from clusters.providers.local.logs import read_page

GRACE_SECONDS = 5.0
IDLE_EXIT_SECONDS = 60.0


class LocalProvider(Provider, Streaming):
    """Runs commands through the runner of `root`, which is started when somebody needs it.

    `vcpus_milli` and `memory_mib` are what may be taken at once. With `isolate` a command is shut in by
    bubblewrap and sees, besides the system's programs, the `readable_paths`; `hidden_paths` (keys, the
    database) are covered where they lie below something it sees. Whoever hands over work should call
    `read` when `fileno` is readable: a listener that never reads is dropped, and connects again.

    The settings of the runner are those of who started it. After a change, `leave` it.
    """

    cloud: ClassVar[str] = "local"

    def __init__(
        self,
        root: Path,
        *,
        vcpus_milli: int,
        memory_mib: int,
        log_cap_bytes: int,
        isolate: bool,
        readable_paths: Sequence[str] = (),
        hidden_paths: Sequence[str] = (),
        grace_seconds: float = GRACE_SECONDS,
        idle_exit_seconds: float = IDLE_EXIT_SECONDS,
    ) -> None:
        self._root = root.resolve()
        self._vcpus_milli = vcpus_milli
        self._memory_mib = memory_mib
        self._isolate = isolate
        self._readable_paths = tuple(readable_paths)
        self._hidden_paths = tuple(hidden_paths)
        options: dict[str, object] = {
            "root": self._root,
            "vcpus-milli": vcpus_milli,
            "memory-mib": memory_mib,
            "log-cap-bytes": log_cap_bytes,
            "grace-seconds": grace_seconds,
            "idle-exit-seconds": idle_exit_seconds,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments += [f"--readable={path}" for path in self._readable_paths]
        arguments += [f"--hidden={path}" for path in self._hidden_paths]
        self._connection = Connection(self._root, arguments)

    def run(self, works: Sequence[Work]) -> None:
        if not works:
            return
        self._check(work.execution_id for work in works)
        if self._isolate and not (probe := isolation.probe(self._readable_paths, self._hidden_paths)).works:
            raise ProviderError(f"isolation does not work here: {probe.why}")
        wishes = [self._wish(work) for work in works]
        self._connection.send({"op": "run", "works": wishes}, [work.execution_id for work in works])

    def observe(self, execution_ids: Sequence[str]) -> list[Observation]:
        observations = {id_: self._kept(id_) for id_ in execution_ids if folders.is_execution_id(id_)}
        if any(kept is None or kept.phase is not Phase.ENDED for kept in observations.values()):
            # A runner has to be there for these to go on; it also ends what a dead one left behind.
            # That none can be started is for `run` to say: what the folders tell is true all the same.
            with contextlib.suppress(ProviderError):
                self._connection.ensure()
        handed = self._connection.handed
        found = []
        for id_, kept in observations.items():
            if kept is not None:
                found.append(kept)
            elif id_ in handed:
                found.append(Observation(id_, Phase.WAITING))
        handed.difference_update(one.execution_id for one in found if one.phase is Phase.ENDED)
        return found

    def cancel(self, execution_ids: Sequence[str]) -> None:
        if not execution_ids:
            return
        self._check(execution_ids)
        self._connection.send({"op": "cancel", "ids": list(execution_ids)})

    def logs(self, execution_id: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        if stream not in STREAMS:
            raise ValueError(f"no such stream: {stream}")
        folder = self._folder(execution_id)
        if not os.path.isdir(folder):
            if execution_id in self._connection.handed:
                return LogPage("", after, ended=False)
            raise NotFound(f"no execution {execution_id} on this machine")
        return read_page(folder, stream, after, limit)

    def explain(self, execution_id: str) -> str:
        if not folders.is_execution_id(execution_id):
            return ""
        folder = self._folder(execution_id)
        if ended := folders.read_exit(folder):
            code = "" if ended["code"] is None else f" with exit code {ended['code']}"
            detail = f": {ended['detail']}" if ended["detail"] else ""
            return f"{ended['end']} on {ended['node']}{code}{detail}"
        if (started := folders.read_started(folder)) is not None:
            return f"running on {started['node']} as process {started['pid']}" if "pid" in started else "starting"
        return "in line at the local runner, for room" if execution_id in self._connection.handed else ""

    def capacity(self) -> Capacity:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._root)
        free_mib = disk.f_bavail * disk.f_frsize >> 20
        return Capacity(self._vcpus_milli, self._memory_mib, free_mib, self._isolate)

    def forget(self, execution_ids: Sequence[str]) -> None:
        """Only ended executions are deleted: moved aside in one step, so that none is ever half there."""
        trash = self._root / folders.TRASH
        for execution_id in filter(folders.is_execution_id, execution_ids):
            folder = self._folder(execution_id)
            if folders.has_ended(folder):
                trash.mkdir(mode=0o700, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.rename(folder, trash / execution_id)
        if trash.is_dir():
            for left in os.listdir(trash):  # with what a killed process may have left there
                _delete(trash / left)

    def leave(self) -> None:
        """Tell the runner to go: at once when it has nothing to do, else when it has done it."""
        if self._connection.connect():
            self._connection.send({"op": "leave"})

    def close(self) -> None:
        """Hang up. What runs goes on."""
        self._connection.close()

    def fileno(self) -> int:
        return self._connection.fileno()

    def read(self) -> list[Observation]:
        observations = [self._happened(event) for message in self._connection.receive() for event in _events(message)]
        self._connection.handed.difference_update(one.execution_id for one in observations if one.phase is Phase.ENDED)
        return observations

    def _wish(self, work: Work) -> Message:
        return {
            "id": work.execution_id,
            "command": list(work.command),
            "env": dict(work.env),
            "vcpus_milli": work.vcpus_milli,
            "memory_mib": work.memory_mib,
            "timeout_seconds": work.timeout_seconds,
            "priority": work.priority,
            "isolate": self._isolate,
        }

    def _kept(self, execution_id: str) -> Observation | None:
        """What the execution's folder says."""
        folder = self._folder(execution_id)
        record: Mapping[str, Any] | None = folders.read_exit(folder)
        if record is None:
            started = folders.read_started(folder)
            record = folders.read_exit(folder) or started  # it may have ended between the two looks
        if record is None:
            return None
        if not record:  # taken this instant: it starts now, or was canceled and never will
            return Observation(execution_id, Phase.WAITING)
        return self._happened({"id": execution_id, **record})

    @staticmethod
    def _happened(event: Mapping[str, Any]) -> Observation:
        if "ended" not in event:
            return Observation(event["id"], Phase.RUNNING, _time(event["started"]), node=event["node"])
        return Observation(
            event["id"],
            Phase.ENDED,
            _time(event["started"]),
            _time(event["ended"]),
            End(event["end"]),
            event["code"],
            event["detail"],
            event["node"],
        )

    def _folder(self, execution_id: str) -> str:
        if not folders.is_execution_id(execution_id):
            raise NotFound(f"not an execution id: {execution_id!r}")
        return folders.folder_of(str(self._root), execution_id)

    @staticmethod
    def _check(execution_ids: Iterable[str]) -> None:
        for execution_id in execution_ids:
            if not folders.is_execution_id(execution_id):
                raise Refused(f"not an execution id: {execution_id!r}")


def _events(message: Message) -> list[Mapping[str, Any]]:
    events = message.get("events", [])
    return events if isinstance(events, list) else []


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _delete(folder: Path) -> None:
    """Delete a folder; one in which a command has shut folders is opened first. Links are not followed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:  # somebody else does the same
        pass
    except PermissionError:
        for above, names, _ in os.walk(folder):
            for path in (os.path.join(above, name) for name in names):
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(folder)
