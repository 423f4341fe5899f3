"""Long-running services on the machine the control plane stands on, as processes: by way of their supervisor."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from clusters.providers.base import LogPage, Probe
from clusters.providers.errors import NotFound, NotYet, ProviderError, Refused
from clusters.providers.hosting import Address, Hosting, Service, ServiceObservation, ServicePhase
from clusters.providers.local import folders, isolation
from clusters.providers.local.client import Connection, Message
from clusters.providers.local.hosting import files
from clusters.providers.local.hosting.wishes import wish
from clusters.providers.local.line import Malformed
from clusters.providers.local.logs import read_page

GRACE_SECONDS = 5.0
GIVE_UP_AFTER = 5
IDLE_EXIT_SECONDS = 60.0
KEPT_SECONDS = 7 * 86_400.0

_MODULE: Final = "clusters.providers.local.hosting.supervisor"
_PREFIX: Final = "local:"
_NAMES_AT_ONCE: Final = 250
# A record has up to two of these, and is read as a small file.
_WISH_BYTES: Final = 400 << 10
_NO_ISOLATION: Final = "commands are not isolated here: install bubblewrap, or set LOCAL_UNISOLATED=1"


class LocalHosting(Hosting):
    """Services are processes in the folder `root`, each with ports of its own on `host`. The image is only recorded.

    `memory_mib` is what all of them may ask for together; jobs are not counted. With `isolate` each is shut in by
    bubblewrap, with the network of this machine, and sees the `readable_paths`; `hidden_paths` are covered.
    Without, nothing is taken unless `unisolated` allows it: for those only whom the operators trust.

    A program learns its ports from its environment (`hosting.Port`) and has to listen there. One that has no health
    check is ready half a second after its start. It is given up after `give_up_after` starts in a row that were never
    ready; what has been ready is started again for ever, with pauses from 0.1 to 30 seconds. The output of the last 5
    runs is kept, of what is retired for `kept_seconds`.

    What is wanted is in a file that only our user can read, with the environment and its secrets: see `files`.

    The settings of the supervisor are those of who started it. After a change, have it `leave`: what runs goes on.
    """

    cloud: ClassVar[str] = "local"

    def __init__(
        self,
        root: Path,
        *,
        region: str,
        memory_mib: int,
        log_cap_bytes: int,
        isolate: bool,
        unisolated: bool = False,
        host: str = "127.0.0.1",
        readable_paths: Sequence[str] = (),
        hidden_paths: Sequence[str] = (),
        grace_seconds: float = GRACE_SECONDS,
        give_up_after: int = GIVE_UP_AFTER,
        idle_exit_seconds: float = IDLE_EXIT_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._root = root.resolve()
        self._region = region
        self._memory_mib = memory_mib
        self._isolate = isolate
        self._unisolated = unisolated
        self._readable_paths = tuple(readable_paths)
        self._hidden_paths = tuple(hidden_paths)
        options: dict[str, object] = {
            "root": self._root,
            "memory-mib": memory_mib,
            "host": host,
            "log-cap-bytes": log_cap_bytes,
            "grace-seconds": grace_seconds,
            "give-up-after": give_up_after,
            "idle-exit-seconds": idle_exit_seconds,
            "kept-seconds": kept_seconds,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments += ["--isolated"] if isolate else []
        arguments += [f"--readable={path}" for path in self._readable_paths]
        arguments += [f"--hidden={path}" for path in self._hidden_paths]
        self._connection = Connection(self._root, arguments, _MODULE)

    @property
    def region(self) -> str:
        return self._region

    # Changing

    def provision(self, service: Service) -> str:
        name, asked = service.name, _wish(service)
        if not folders.is_execution_id(name):
            raise Refused(f"{name!r} is no name for a service")
        self._check_isolation()
        if self._ask({"op": "provision", "name": name, "wish": asked}).get("not_yet"):
            raise NotYet(f"what stood under the name {name} is not gone yet")
        return _PREFIX + name

    def reconfigure(self, handle: str, service: Service) -> None:
        name = self._one(handle)
        if name != service.name:
            raise Refused(f"{handle} is not {service.name}")
        self._check_isolation()
        if self._ask({"op": "reconfigure", "name": name, "wish": _wish(service)}).get("not_found"):
            raise NotFound(f"no service {name} stands on this machine")

    def retire(self, handles: Sequence[str]) -> None:
        names = list(_names(handles))
        if names and self._has_to_do():
            self._ask({"op": "retire", "names": names})

    # Looking

    def observe(self, handles: Sequence[str]) -> list[ServiceObservation]:
        names = list(dict.fromkeys(_names(handles)))
        seen = self._seen(names)
        return [_observation(_PREFIX + name, seen.get(name)) for name in names]

    def standing(self) -> Mapping[str, str]:
        names = self._ask({"op": "standing"})["names"] if self._has_to_do() else []
        return {_PREFIX + name: name for name in names}

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        name = self._one(handle)
        folder = self._folder(name)
        numbers = files.runs(folder)
        if not run and not numbers and files.stands(folder):
            return LogPage("", max(after, 0), ended=False)
        found = next((number for number in reversed(numbers) if run in ("", files.run_name(name, number))), None)
        if found is None:
            raise NotFound(f"there is no output of {handle}{f', run {run}' if run else ''}")
        return read_page(f"{folder}/{found}", files.OUTPUT, after, limit)

    def explain(self, handle: str) -> str:
        name = self._one(handle)
        seen, folder = self._seen([name]).get(name), self._folder(name)
        lines = _standing_words(seen) if seen else []
        for number in reversed(files.runs(folder)):
            if ended := folders.read_exit(f"{folder}/{number}"):
                lines.append(f"run {number}: {ended['detail']}")
        return "\n".join(lines)

    def probe(self, customer: str = "") -> list[Probe]:
        return [self._probe_isolation(), self._probe_folder(), self._probe_room()]

    def link(self, handle: str) -> str:
        return ""

    def leave(self) -> None:
        """Tell the supervisor to go, if there is one. What runs goes on, and the next call starts another."""
        if self._connection.connect():
            self._connection.send({"op": "leave"})

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    # How it is asked

    def _ask(self, message: Message) -> Any:
        answer = self._connection.ask(message)
        if failed := answer.get("failed"):
            raise ProviderError(str(failed))
        return answer

    def _seen(self, names: Sequence[str]) -> dict[str, Any]:
        """What the supervisor says of those that stand."""
        found: dict[str, Any] = {}
        if names and self._has_to_do():
            for at in range(0, len(names), _NAMES_AT_ONCE):
                found |= self._ask({"op": "observe", "names": names[at : at + _NAMES_AT_ONCE]})["seen"]
        return found

    def _has_to_do(self) -> bool:
        """Whether there is a supervisor, or one is needed: nobody is started to say that nothing is wanted."""
        root = str(self._root)
        return self._connection.connect() or any(files.stands(self._folder(name)) for name in files.names(root))

    def _folder(self, name: str) -> str:
        return f"{self._root}/{name}"

    @staticmethod
    def _one(handle: str) -> str:
        for name in _names([handle]):
            return name
        raise NotFound(f"{handle!r} is no handle of a service of this machine")

    def _check_isolation(self) -> None:
        if not self._isolate:
            if not self._unisolated:
                raise Refused(_NO_ISOLATION)
        elif not (found := isolation.probe(self._readable_paths, self._hidden_paths)).works:
            raise ProviderError(f"isolation does not work here: {found.why}")

    # What it has to have

    def _probe_isolation(self) -> Probe:
        if not self._isolate:
            words = "commands run as they are: for staff only" if self._unisolated else _NO_ISOLATION
            return Probe("isolation", self._unisolated, words)
        found = isolation.probe(self._readable_paths, self._hidden_paths)
        return Probe("isolation", found.works, found.why or "bubblewrap works")

    def _probe_folder(self) -> Probe:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root):
                pass
        except OSError as error:
            return Probe("folder", False, f"nothing can be written to {self._root}: {error.strerror}")
        disk = os.statvfs(self._root)
        return Probe("folder", True, f"{disk.f_bavail * disk.f_frsize >> 20} MiB are free at {self._root}")

    def _probe_room(self) -> Probe:
        try:
            used = self._ask({"op": "status"})["memory_mib_used"] if self._has_to_do() else 0
        except ProviderError as error:
            return Probe("supervisor", False, str(error))
        return Probe("room", used < self._memory_mib, f"{used} of {self._memory_mib} MiB are taken by services")


def _names(handles: Iterable[str]) -> Iterator[str]:
    """Of those that can be handles of this machine."""
    for handle in handles:
        name = handle.removeprefix(_PREFIX)
        if name != handle and folders.is_execution_id(name):
            yield name


def _wish(service: Service) -> Message:
    """What the supervisor is told of it. Raises Refused when that is nothing it could run."""
    check = service.health_check
    asked: Message = {
        "revision": service.revision,
        "image": service.image,
        "command": list(service.command),
        "env": {**service.env, **service.secrets},
        "memory_mib": service.memory_mib,
        "ports": [[port.number, port.protocol.value] for port in service.ports],
        "check": check
        and {
            "command": list(check.command),
            "port": check.port,
            "path": check.path,
            "interval_seconds": check.interval_seconds,
            "timeout_seconds": check.timeout_seconds,
            "retries": check.retries,
            "start_seconds": check.start_seconds,
        },
    }
    try:
        wish(asked)
    except Malformed as error:
        raise Refused(str(error)) from error
    if len(json.dumps(asked)) > _WISH_BYTES:
        raise Refused(f"command and environment have more than {_WISH_BYTES} bytes")
    return asked


def _observation(handle: str, seen: Mapping[str, Any] | None) -> ServiceObservation:
    if seen is None:
        return ServiceObservation(handle, ServicePhase.GONE)
    if "wanted" not in seen:
        return ServiceObservation(handle, ServicePhase(seen["phase"]))
    started, ports = seen.get("started"), seen.get("ports", {})
    host = seen.get("host")
    return ServiceObservation(
        handle,
        ServicePhase(seen["phase"]),
        run=seen.get("run", ""),
        started_at=None if started is None else datetime.fromtimestamp(started, UTC),
        addresses=(Address(host, False, {int(number): port for number, port in ports.items()}),) if host else (),
        is_healthy=seen.get("healthy"),
        revision=seen.get("revision", ""),
        wanted=seen["wanted"],
        restarts=seen["restarts"],
        lacks_room=seen["lacks_room"],
        detail=seen["detail"],
    )


def _standing_words(seen: Mapping[str, Any]) -> list[str]:
    lines = [str(seen["phase"])]
    if "pid" in seen:
        lines[0] += f" as process {seen['pid']}, run {seen['run']}"
    lines += [f"port {number} is {seen['host']}:{port}" for number, port in seen.get("ports", {}).items()]
    if "starts_in_seconds" in seen:
        lines.append(f"the next start is in {seen['starts_in_seconds']} s")
    return [*lines, *([seen["detail"]] if seen.get("detail") else [])]
