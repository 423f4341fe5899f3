"""What container a work becomes: shut in as far as an engine can, and labelled so that it is found again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import docker.types

from clusters.providers.base import Work
from clusters.providers.errors import NotFound
from clusters.providers.local.docker.engine import ROOT_LABEL, Engine, State

TIMEOUT_LABEL: Final = "control-plane.timeout"
VCPUS_LABEL: Final = "control-plane.vcpus-milli"
MEMORY_LABEL: Final = "control-plane.memory-mib"
NANO_PER_MILLI: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What holds for every container of a deployment. `pids_limit` 0: none; `user` "": the image's.

    `log_mib` is how much of its output the engine keeps of a container that does not end.
    """

    network: str = "bridge"
    read_only: bool = False
    pids_limit: int = 0
    user: str = ""
    log_mib: int = 64


def make(engine: Engine, root: str, work: Work, shape: Shape) -> None:
    """Make the volumes of `work` and its container, named for the execution. Nothing is started."""
    for number, volume in enumerate(work.volumes):
        name = _volume_name(work.execution_id, number)
        engine.create_volume(name, volume.driver, volume.driver_options, {ROOT_LABEL: root})
    engine.create(work.execution_id, _settings(root, work, shape), _host(work, shape))


def find(engine: Engine, root: str, execution_id: str) -> State | None:
    """The container of an execution; None when there is none, or it is not ours."""
    with contextlib.suppress(NotFound):
        state = engine.state(execution_id)
        return state if state.root == root else None
    return None


def remove(engine: Engine, root: str, execution_id: str) -> None:
    """Remove the container of an execution, and its volumes."""
    if find(engine, root, execution_id) is not None:
        engine.remove(execution_id)
    engine.remove_volumes(root, f"{execution_id}.")


def timeout_of(labels: Mapping[str, str]) -> int | None:
    """The timeout of a labelled container in seconds, None when it has none."""
    return _number(labels, TIMEOUT_LABEL)


def room_of(labels: Mapping[str, str]) -> tuple[int, int]:
    """How many thousandths of a CPU and MiB a labelled container takes."""
    return _number(labels, VCPUS_LABEL) or 0, _number(labels, MEMORY_LABEL) or 0


def _number(labels: Mapping[str, str], name: str) -> int | None:
    text = labels.get(name, "")
    return int(text) if text.isdecimal() else None


def _settings(root: str, work: Work, shape: Shape) -> dict[str, Any]:
    labels = {ROOT_LABEL: root, VCPUS_LABEL: str(work.vcpus_milli), MEMORY_LABEL: str(work.memory_mib)}
    if work.timeout_seconds is not None:
        labels[TIMEOUT_LABEL] = str(work.timeout_seconds)
    settings: dict[str, Any] = {
        "image": work.image,
        "environment": dict(work.env),
        "labels": labels,
        "user": shape.user or None,
        **_command(work),
    }
    return settings


def _command(work: Work) -> dict[str, Sequence[str]]:
    """The image's entrypoint stands in front of a command, unless it is replaced: by the command's first word."""
    words = list(work.command)
    if not words:
        return {}
    return {"command": words} if work.image_entrypoint else {"entrypoint": words[:1], "command": words[1:]}


def _host(work: Work, shape: Shape) -> dict[str, Any]:
    memory = f"{work.memory_mib}m"
    wishes: dict[str, Any] = {
        "nano_cpus": work.vcpus_milli * NANO_PER_MILLI,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": shape.pids_limit or None,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "network_mode": shape.network if work.network else "none",
        "mounts": _mounts(work),
        # The default of an engine may be a log that cannot be read back.
        "log_config": docker.types.LogConfig(type="json-file"),
    }
    if shape.read_only:
        wishes["read_only"] = True
        wishes["tmpfs"] = {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={memory}"}  # noqa: S108 - the container's
    if work.shm_mib is not None:
        wishes["shm_size"] = f"{work.shm_mib}m"
    if work.gpus:
        wishes["device_requests"] = [docker.types.DeviceRequest(count=work.gpus, capabilities=[["gpu"]])]
    return wishes


def _mounts(work: Work) -> list[Any]:
    binds = [
        docker.types.Mount(mount.target, mount.source, type="bind", read_only=mount.read_only) for mount in work.mounts
    ]
    volumes = [
        docker.types.Mount(
            volume.target, _volume_name(work.execution_id, number), type="volume", read_only=volume.read_only
        )
        for number, volume in enumerate(work.volumes)
    ]
    return binds + volumes


def _volume_name(execution_id: str, number: int) -> str:
    return f"{execution_id}.{number}"
