"""What container a service becomes: shut in as those of jobs are, its ports open to one address of the machine."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import docker.types

from clusters.providers.hosting import Service
from clusters.providers.local.docker import hosted
from clusters.providers.local.docker.containers import NANO_PER_MILLI, Shape
from clusters.providers.local.docker.engine import ROOT_LABEL, Engine

NAME_LABEL: Final = "control-plane.container"
REVISION_LABEL: Final = "control-plane.revision"
_UNPUBLISHED: Final = ("none", "host")  # networks where there is nothing to publish


@dataclass(frozen=True, slots=True)
class Row:
    """A container of a service, as the engine lists it."""

    name: str  # the service's
    run: str
    revision: str
    is_over: bool
    is_fresh: bool
    is_leaving: bool

    @property
    def container(self) -> str:
        return container_name(self.name, self.run)

    @property
    def age_seconds(self) -> float:
        """Since it was begun."""
        return time.time() - hosted.begun_at(self.run)

    @property
    def is_alive(self) -> bool:
        return not (self.is_over or self.is_fresh or self.is_leaving)


def container_name(name: str, run: str) -> str:
    return f"{name}.{run}"


def rows_of(engine: Engine, root: str) -> dict[str, list[Row]]:
    """All of a deployment by the services' names, the oldest first."""
    found: dict[str, list[Row]] = {}
    for each in engine.containers(root):
        name, _, run = each.name.partition(".")
        if each.labels.get(NAME_LABEL) == name and hosted.is_run(run):
            revision = each.labels.get(REVISION_LABEL, "")
            row = Row(name, run, revision, each.is_over, each.is_fresh, each.is_leaving)
            found.setdefault(name, []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row.run)
    return found


def serving(rows: Iterable[Row], run: str) -> Row | None:
    """Which of a service's serves: the run that was ready last, else the oldest that runs."""
    alive = [row for row in rows if row.is_alive]
    return next((row for row in alive if row.run == run), alive[0] if alive else None)


def make(engine: Engine, root: str, service: Service, run: str, shape: Shape, host: str) -> None:
    """Make the container of a run. Nothing is started."""
    published = service.ports if shape.network not in _UNPUBLISHED else ()
    settings: dict[str, Any] = {
        "image": service.image,
        "environment": {**service.env, **service.secrets},
        "labels": {ROOT_LABEL: root, NAME_LABEL: service.name, REVISION_LABEL: service.revision},
        "user": shape.user or None,
        "ports": [(port.number, port.protocol.value) for port in published],
    }
    if service.command:
        settings["command"] = list(service.command)
    engine.create(container_name(service.name, run), settings, _host(service, shape, _bindings(published, host)))


def _host(service: Service, shape: Shape, bindings: Mapping[str, Any]) -> dict[str, Any]:
    memory = f"{service.memory_mib}m"
    wishes: dict[str, Any] = {
        "nano_cpus": service.vcpus_milli * NANO_PER_MILLI,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": shape.pids_limit or None,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "network_mode": shape.network,
        "port_bindings": dict(bindings),
        "log_config": docker.types.LogConfig(type="json-file", config={"max-size": f"{shape.log_mib}m"}),
    }
    if shape.read_only:
        wishes["read_only"] = True
        wishes["tmpfs"] = {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={memory}"}  # noqa: S108 - the container's
    return wishes


def _bindings(ports: Sequence[Any], host: str) -> dict[str, Any]:
    """Free ports of `host`, the engine's choice; one that is wanted by TCP and by UDP has the same for both."""
    numbers = [port.number for port in ports]
    twice = {number: _free_port(host) for number in numbers if numbers.count(number) > 1}
    return {f"{port.number}/{port.protocol.value}": (host, twice.get(port.number)) for port in ports}


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            number = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):  # taken by UDP only
                udp.bind((host, number))
                return number
