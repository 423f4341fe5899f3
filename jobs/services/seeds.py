"""Seed jobs: from a job type and what is given to it, to a job that can be submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from accounts import access
from accounts.models import User
from controlplane.core.errors import ControlPlaneError, Forbidden, InvalidRequest
from jobs import queries
from jobs.models import File, Priority
from jobs.policy import Policy
from jobs.services.requests import JobRequest, SeedPart
from jobtypes.models import JobType, JobTypeRevision
from jobtypes.queries import workspaces_by_name
from jobtypes.seed.allocation import allocate
from jobtypes.seed.configuration import Configuration, check_workspaces, merged, read_configuration, split_secrets
from jobtypes.seed.inputs import JobInput, check_media_types, read_input
from jobtypes.seed.manifest import Manifest, read_manifest
from jobtypes.seed.verdicts import Invalid


@dataclass(frozen=True, slots=True)
class SeedWish:
    """A Seed job as asked for. What is left out is the job type's; `priority` None: the configuration's."""

    job_type: JobType
    input: Any = None
    configuration: Any = None
    customer: str = ""
    region: str = ""
    classification: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None
    queue: str = ""
    max_tries: int | None = None
    policy: Policy | None = None
    recipe_id: int | None = None
    supersedes: int | None = None


class Types:
    """What many jobs of a submit share: manifests, revisions and workspaces are read once for all of them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Manifest, JobTypeRevision]] = {}
        self._policies: dict[tuple[int, bool], Policy | None] = {}
        self._workspaces: dict[str, bool | None] = {}

    def of(self, job_type: JobType) -> tuple[Manifest, JobTypeRevision]:
        """The manifest and revision that new jobs of a type run."""
        if job_type.pk not in self._known:
            revision = JobTypeRevision.objects.get(job_type=job_type, revision_num=job_type.revision_num)
            self._known[job_type.pk] = (read_manifest(revision.manifest), revision)
        return self._known[job_type.pk]

    def policy(self, job_type: JobType, *, place_is_given: bool) -> Policy | None:
        """What new jobs of a type go by that say nothing of it."""
        key = (job_type.pk, place_is_given)
        if key not in self._policies:
            self._policies[key] = queries.policy_for(job_type.pk, place_is_given=place_is_given)
        return self._policies[key]

    def workspaces(self, names: Set[str]) -> dict[str, bool]:
        """Those of `names` that there are: is each of them active?"""
        new = names - self._workspaces.keys()
        if new:
            found = workspaces_by_name(new)
            self._workspaces |= {name: found[name].is_active if name in found else None for name in new}
        return {name: active for name in names if (active := self._workspaces[name]) is not None}


def seed_requests(user: User, wishes: Sequence[SeedWish], *, in_list: bool = False) -> list[JobRequest]:
    """The jobs that `wishes` ask for, all checked: input against the interface, files, configuration.

    Raises InvalidRequest naming the field, and with `in_list` the index; Forbidden for mounts that only staff
    may choose. `user` has to be able to read every file.
    """
    types, inputs = Types(), []
    for index, wish in enumerate(wishes):
        with _Indexed(index if in_list else None):
            inputs.append(_input(wish, types))
    files = queries.readable_files(user, {i for each in inputs for ids in each.files.values() for i in ids})
    requests = []
    for index, (wish, given) in enumerate(zip(wishes, inputs, strict=True)):
        with _Indexed(index if in_list else None):
            requests.append(_request(user, wish, given, files, types))
    return requests


def _input(wish: SeedWish, types: Types) -> JobInput:
    if not wish.job_type.is_active:
        raise InvalidRequest("The job type is deprecated: no new jobs of it.", field="job_type_id")
    manifest, _ = types.of(wish.job_type)
    return read_input(wish.input, manifest)


def _request(user: User, wish: SeedWish, given: JobInput, files: Mapping[int, File], types: Types) -> JobRequest:
    manifest, revision = types.of(wish.job_type)
    input_bytes = _input_bytes(given, files, manifest)
    own, secrets = _own_configuration(user, wish, manifest, types)
    allocation = allocate(manifest, input_bytes)
    return JobRequest(
        customer=wish.customer or (user.customer.name if user.customer else settings.DEFAULT_CUSTOMER),
        region=wish.region or settings.LOCAL_REGION,
        classification=wish.classification or wish.job_type.name,
        command=(),
        image=revision.docker_image,
        env=secrets,
        secret_env=sorted(secrets),
        tags=wish.tags,
        vcpus_milli=allocation.vcpus_milli,
        memory_mib=allocation.memory_mib,
        priority=_priority(wish, own),
        queue=wish.queue,
        timeout_seconds=manifest.timeout_seconds,
        max_tries=wish.max_tries,
        default_tries=wish.job_type.max_tries,
        policy=wish.policy or types.policy(wish.job_type, place_is_given=bool(wish.region)),
        seed=SeedPart(
            job_type_id=wish.job_type.pk,
            revision_id=revision.pk,
            input=given.document(),
            input_bytes=input_bytes,
            configuration=own,
            recipe_id=wish.recipe_id,
            supersedes=wish.supersedes,
        ),
    )


def _input_bytes(given: JobInput, files: Mapping[int, File], manifest: Manifest) -> int:
    for name, ids in given.files.items():
        missing = next((i for i in ids if i not in files), None)
        if missing is not None:
            raise InvalidRequest(f"There is no file {missing}, or it is not yours.", field=f"input.files.{name}")
    own = [files[i] for ids in given.files.values() for i in ids]
    check_media_types(manifest, given, {file.pk: file.media_type for file in own})
    return sum(file.size for file in own)


def _own_configuration(
    user: User, wish: SeedWish, manifest: Manifest, types: Types
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """What was given for this job alone, member by member, and apart from it the secret settings among it."""
    if not wish.configuration:
        return None, {}
    try:
        read = read_configuration(wish.configuration)
        plain, secrets = split_secrets(manifest, read)
        both = read_configuration(merged(wish.job_type.configuration, _members(wish.configuration, read)))
        names = {both.default_workspace, *both.output_workspaces.values()} - {""}
        check_workspaces(manifest, both, types.workspaces(names))
    except Invalid as fault:
        raise InvalidRequest(fault.finding.description, field="configuration", code=fault.finding.name) from fault
    if read.mounts and not access.decide(user, "job_types", access.CHANGE).allowed:
        raise Forbidden("Mounts are chosen by staff.", field="configuration.mounts")
    return _members(wish.configuration, plain), secrets


def _members(given: Iterable[str], read: Configuration) -> dict[str, Any]:
    """Of a configuration only the members that were given."""
    return {name: value for name, value in read.document().items() if name in given}


def _priority(wish: SeedWish, own: Mapping[str, Any] | None) -> int:
    if wish.priority is not None:
        return wish.priority
    configured: int = merged(wish.job_type.configuration, own).get("priority", Priority.LOW)
    return configured


class _Indexed:
    """Notes at which place of a list an error is."""

    def __init__(self, index: int | None) -> None:
        self._index = index

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._index is not None and isinstance(error, ControlPlaneError):
            error.index = self._index
