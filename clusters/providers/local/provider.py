"""The `local` provider: jobs run on the machine the control plane stands on, by way of the runner."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clusters.providers.base import Capacity, Observation, Phase, Work
from clusters.providers.errors import ProviderError, Refused
from clusters.providers.local import folders, isolation, kept
from clusters.providers.local.client import Connection, Message
from clusters.providers.local.runtime import Runtime

GRACE_SECONDS = 5.0
IDLE_EXIT_SECONDS = 60.0


class LocalProvider(Runtime):
    """Runs commands through the runner of `root`, which is started when somebody needs it.

    `vcpus_milli` and `memory_mib` are what may be taken at once. With `isolate` a command is shut in by
    bubblewrap and sees, besides the system's programs, the `readable_paths`; `hidden_paths` (keys, the
    database) are covered where they lie below something it sees. Whoever hands over work should call
    `read` when `fileno` is readable: a listener that never reads is dropped, and connects again.

    The settings of the runner are those of who started it. After a change, `leave` it.
    """

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
        for work in works:
            self._check_mounts(work)
        wishes = [self._wish(work) for work in works]
        self._connection.send({"op": "run", "works": wishes}, [work.execution_id for work in works])

    def observe(self, execution_ids: Sequence[str]) -> list[Observation]:
        ids = filter(folders.is_execution_id, execution_ids)
        observations = {id_: kept.observation(self._folder(id_), id_) for id_ in ids}
        if any(seen is None or seen.phase is not Phase.ENDED for seen in observations.values()):
            # A runner has to be there for these to go on; it also ends what a dead one left behind.
            # That none can be started is for `run` to say: what the folders tell is true all the same.
            with contextlib.suppress(ProviderError):
                self._connection.ensure()
        handed = self._connection.handed
        found = []
        for id_, seen in observations.items():
            if seen is not None:
                found.append(seen)
            elif id_ in handed:
                found.append(Observation(id_, Phase.WAITING))
        handed.difference_update(one.execution_id for one in found if one.phase is Phase.ENDED)
        return found

    def cancel(self, execution_ids: Sequence[str]) -> None:
        if not execution_ids:
            return
        self._check(execution_ids)
        self._connection.send({"op": "cancel", "ids": list(execution_ids)})

    def _has_taken(self, execution_id: str) -> bool:
        return execution_id in self._connection.handed

    def explain(self, execution_id: str) -> str:
        if not folders.is_execution_id(execution_id):
            return ""
        folder = self._folder(execution_id)
        if ended := kept.explanation_of_end(folder):
            return ended
        if (started := folders.read_started(folder)) is not None:
            return f"running on {started['node']} as process {started['pid']}" if "pid" in started else "starting"
        return "in line at the local runner, for room" if execution_id in self._connection.handed else ""

    def capacity(self) -> Capacity:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._root)
        free_mib = disk.f_bavail * disk.f_frsize >> 20
        return Capacity(self._vcpus_milli, self._memory_mib, free_mib, self._isolate)

    def forget(self, execution_ids: Sequence[str]) -> None:
        kept.forget(self._root, execution_ids)

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
        events = [event for message in self._connection.receive() for event in _events(message)]
        observations = [kept.happened(event["id"], event) for event in events]
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
            "mounts": [[mount.source, mount.target, mount.read_only] for mount in work.mounts],
            "shm_mib": work.shm_mib,
            "network": work.network,
        }

    def _check_mounts(self, work: Work) -> None:
        if work.volumes:
            raise Refused("A volume of a driver needs a container engine: LOCAL_RUNTIME=docker.")
        moved = [mount.target for mount in work.mounts if mount.source != mount.target]
        if moved and not self._isolate:
            raise Refused(f"Nothing can be mounted at {moved[0]} without isolation.")

    @staticmethod
    def _check(execution_ids: Iterable[str]) -> None:
        for execution_id in execution_ids:
            if not folders.is_execution_id(execution_id):
                raise Refused(f"not an execution id: {execution_id!r}")


def _events(message: Message) -> list[Mapping[str, Any]]:
    events = message.get("events", [])
    return events if isinstance(events, list) else []
