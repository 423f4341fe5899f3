"""A group of works as one SubmitJob. Nothing here calls AWS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.sizes import requirements
from clusters.providers.base import Work
from clusters.providers.errors import Refused

MAX_ARRAY: Final = 10_000
MAX_PAYLOAD_BYTES: Final = 30 << 10
SHORTEST_SECONDS: Final = 60
_DEFINITION_BYTES: Final = 256  # its address, which is added last
_PLACEHOLDER: Final = "Ref::"
_RESERVED: Final = "AWS_BATCH"


def alike(config: AwsConfig, work: Work) -> tuple[object, ...]:
    """Works of which this is the same can go together, as one array."""
    return (
        config.account_of(work.customer),
        config.queue(work),
        work.image,
        tuple(work.command),
        tuple(sorted(work.env.items())),
        (work.vcpus_milli, work.memory_mib, work.gpus, work.shm_mib, work.timeout_seconds),
        (work.network, tuple(work.mounts), bool(work.volumes), work.machine_image, work.user_data),
    )


def check(work: Work, platform: str) -> None:
    """Raise Refused for what a container of AWS Batch cannot be given."""
    wrong = {
        "a machine image": bool(work.machine_image),
        "folders of this machine": bool(work.mounts),
        "volumes of a container engine": bool(work.volumes),
        "no network at all": not work.network,
        "a size of /dev/shm on FARGATE": work.shm_mib is not None and platform == "FARGATE",
        "no image": not work.image,
        "an empty argument": "" in work.command,
        f"a variable whose name begins with {_RESERVED}": any(name.startswith(_RESERVED) for name in work.env),
    }
    if told := [what for what, is_wrong in wrong.items() if is_wrong]:
        raise Refused(f"AWS Batch takes no job with {', nor with '.join(told)}")


def submission(config: AwsConfig, name: str, works: Sequence[Work]) -> dict[str, Any]:
    """The arguments of SubmitJob for a group, but the definition. Raises Refused when they are longer than AWS takes.

    An image's own entrypoint, if it has one, gets the command as its arguments: AWS Batch cannot replace it. A
    timeout is a minute at least.
    """
    work = works[0]
    command, parameters = _as_parameters(work.command)
    tags = {"controlplane": config.prefix}
    if len(works) == 1:
        tags["controlplane:execution"] = work.execution_id
    overrides: dict[str, Any] = {
        "resourceRequirements": requirements(work, config.platform),
        "environment": [{"name": key, "value": value} for key, value in work.env.items()],
    }
    if command:
        overrides["command"] = command
    asked: dict[str, Any] = {
        "jobName": name,
        "jobQueue": config.queue(work),
        "containerOverrides": overrides,
        "tags": tags,
    }
    if parameters:
        asked["parameters"] = parameters
    if work.timeout_seconds is not None:
        asked["timeout"] = {"attemptDurationSeconds": max(work.timeout_seconds, SHORTEST_SECONDS)}
    if len(works) > 1:
        asked["arrayProperties"] = {"size": len(works)}
    size = len(json.dumps(asked).encode()) + _DEFINITION_BYTES
    if size > MAX_PAYLOAD_BYTES:
        raise Refused(
            f"the command and environment are too long: AWS Batch takes {MAX_PAYLOAD_BYTES} bytes, these are {size}"
        )
    return asked


def _as_parameters(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command with each argument that AWS would take for a placeholder behind a placeholder of ours.

    AWS Batch replaces "Ref::name" in arguments by the job's parameter of that name, and there is no way to escape
    it; but a parameter's value may be anything.
    """
    found: list[str] = []
    parameters: dict[str, str] = {}
    for number, word in enumerate(command):
        if _PLACEHOLDER in word:
            name = f"argument{number:05d}"  # none is the beginning of another
            parameters[name] = word
            found.append(f"{_PLACEHOLDER}{name}")
        else:
            found.append(word)
    return found, parameters
