"""From a work to a Batch task."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Final

from azure.batch.models import (
    BatchTaskConstraints,
    BatchTaskContainerSettings,
    BatchTaskCreateOptions,
    ContainerWorkingDirectory,
    EnvironmentSetting,
)

from clusters.providers.azure import names
from clusters.providers.base import Work
from clusters.providers.errors import Refused

RETENTION: Final = timedelta(days=7)  # of a task's files, on a node that lives as long
_OTHER_BYTES = 500  # of a task's JSON, beside command and environment


def check(work: Work) -> None:
    """Raises Refused for what Azure Batch cannot do."""
    if work.machine_image:
        raise Refused("Azure Batch runs containers here, not whole machines")
    if not work.image:
        raise Refused("Azure Batch runs images, and none is named")
    if work.mounts or work.volumes:
        raise Refused("executions on Azure Batch get no mounts and no volumes")
    if not work.command and not work.image_entrypoint:
        raise Refused("there is no command")
    if not names.ID.fullmatch(work.execution_id):
        raise Refused(f"{work.execution_id!r} cannot be a task's id")


def task_of(work: Work, slots: int) -> BatchTaskCreateOptions:
    """The task, whose id is the execution's.

    It is never tried again by Azure: executions run once.
    """
    timeout = None if work.timeout_seconds is None else timedelta(seconds=work.timeout_seconds)
    program, arguments = ("", work.command) if work.image_entrypoint else (work.command[0], work.command[1:])
    return BatchTaskCreateOptions(
        id=work.execution_id,
        command_line=shlex.join(arguments),
        container_settings=BatchTaskContainerSettings(
            image_name=work.image,
            container_run_options=_run_options(work, program),
            working_directory=ContainerWorkingDirectory.CONTAINER_IMAGE_DEFAULT,
        ),
        environment_settings=[EnvironmentSetting(name=name, value=value) for name, value in work.env.items()],
        constraints=BatchTaskConstraints(max_wall_clock_time=timeout, retention_time=RETENTION, max_task_retry_count=0),
        required_slots=slots,
    )


def _run_options(work: Work, program: str) -> str:
    """Options of `docker create`, to which Azure adds the image and the command line as the image's command.

    So an image's own program is replaced by an option only:
    https://github.com/MicrosoftDocs/azure-docs/issues/94943.
    """
    options = ["--cpus", f"{work.vcpus_milli / 1000:g}", "--memory", f"{work.memory_mib}m"]
    if program:
        options += ["--entrypoint", program]
    if work.shm_mib is not None:
        options += ["--shm-size", f"{work.shm_mib}m"]
    if work.gpus:
        options += ["--gpus", str(work.gpus)]
    if not work.network:
        options += ["--network", "none"]
    return shlex.join(options)


def bytes_of(work: Work) -> int:
    """About how much of a request the work takes."""
    return _OTHER_BYTES + len(json.dumps([list(work.command), dict(work.env), work.image])) + 30 * len(work.env)
