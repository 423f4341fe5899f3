"""From an execution whose input is there to what a provider runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.conf import settings

from clusters.providers.base import Mount, Volume, Work
from jobs.models import TASKS, Execution
from jobs.policy import limit_seconds
from jobs.staging import cloud_tasks, tasks
from jobs.staging.facts import StagingFault, configuration_of, manifest_of, settings_of
from jobs.staging.rooms import Room, room_of
from jobtypes.seed.allocation import allocate
from jobtypes.seed.configuration import Configuration, VolumeMount
from jobtypes.seed.environment import arguments, environment
from jobtypes.seed.manifest import Manifest, MountPoint


def works(uuids: Sequence[UUID]) -> tuple[list[Work], dict[str, StagingFault]]:
    """What a provider is to run of executions whose input is there, and those that cannot run."""
    rows = Execution.objects.filter(uuid__in=uuids).select_related("job__job_type", "place")
    made: list[Work] = []
    faults: dict[str, StagingFault] = {}
    for execution in rows:
        try:
            made.append(_work_of(execution))
        except StagingFault as fault:
            faults[str(execution.uuid)] = fault
    return made, faults


def _work_of(execution: Execution) -> Work:
    if execution.job.shape not in TASKS:
        return _work(execution)
    return cloud_tasks.work(execution) if execution.place.is_cloud else tasks.work(execution)


def _work(execution: Execution) -> Work:
    job = execution.job
    assert job.revision_id is not None
    manifest, configuration, room = manifest_of(job.revision_id), configuration_of(job), room_of(execution.uuid)
    allocation = allocate(manifest, job.input_bytes or 0)
    env = environment(
        manifest,
        allocation,
        output_dir=str(room.output),
        input_paths=_input_paths(manifest, room),
        json_values=(job.input or {}).get("json", {}),
        settings=settings_of(job, configuration),
    )
    env |= {"INPUT_METADATA": str(room.metadata), "SCALE_JOB_ID": str(job.pk), "SCALE_EXE_NUM": str(execution.number)}
    if job.recipe_id is not None:
        env["SCALE_RECIPE_ID"] = str(job.recipe_id)
    mounts, volumes = _mounts(manifest, configuration)
    try:
        command = arguments(manifest.command, env)
    except ValueError as error:
        raise StagingFault("docker-task-launch", f"The command of its manifest cannot be read: {error}") from error
    shown = [Mount(str(room.input), str(room.input)), Mount(str(room.metadata), str(room.metadata))]
    return Work(
        execution_id=str(execution.uuid),
        image=job.image,
        command=command,
        env=env,
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        timeout_seconds=limit_seconds(job.timeout_seconds, job.affordable_seconds),
        priority=job.priority,
        image_entrypoint=True,
        mounts=[*shown, Mount(str(room.output), str(room.output), read_only=False), *mounts],
        volumes=volumes,
        shm_mib=allocation.shm_mib,
        gpus=allocation.gpus,
    )


def _input_paths(manifest: Manifest, room: Room) -> Mapping[str, str]:
    """Where each input that was brought lies: the file, or the folder of an input that takes several."""
    found: dict[str, str] = {}
    for wanted in manifest.input_files:
        folder = room.input / wanted.name
        if not folder.is_dir():
            continue
        names = sorted(os.listdir(folder))
        found[wanted.name] = str(folder) if wanted.multiple or not names else str(folder / names[0])
    return found


def _mounts(manifest: Manifest, configuration: Configuration) -> tuple[list[Mount], list[Volume]]:
    mounts: list[Mount] = []
    volumes: list[Volume] = []
    for point in manifest.mounts:
        given = configuration.mounts.get(point.name)
        if given is None:
            raise StagingFault("missing-mount", f"The mount {point.name} is not configured.")
        if isinstance(given, VolumeMount):
            volumes.append(Volume(point.path, given.driver, given.driver_options, point.read_only))
        else:
            mounts.append(_host_mount(point, given.path))
    return mounts, volumes


def _host_mount(point: MountPoint, path: str) -> Mount:
    source = os.path.realpath(path)
    if not any(source == root or source.startswith(root.rstrip("/") + "/") for root in _mount_roots()):
        raise StagingFault("missing-mount", f"The mount {point.name} lies in no folder of LOCAL_MOUNT_ROOTS.")
    if not os.path.exists(source):
        raise StagingFault("missing-mount", f"There is nothing at the mount {point.name} on this machine.")
    return Mount(source, point.path, point.read_only)


def _mount_roots() -> list[str]:
    return [os.path.realpath(root) for root in settings.LOCAL_MOUNT_ROOTS]
