"""People and jobs for tests: plain functions with defaults, which go through the services as a caller would."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Role, User
from clusters.providers.base import End
from clusters.providers.errors import Refused
from clusters.providers.local import folders
from jobs import scheduling, services, states
from jobs.models import Execution, Job, Place, RunsFor
from jobs.services.places import place_id
from jobtypes import services as jobtypes
from jobtypes.models import JobType, Workspace
from tests.providers import ScriptedProvider

_numbers = itertools.count(1)
ROOMY: Final = {"vcpus_milli": 64_000, "memory_mib": 262_144, "disk_free_mib": 100_000}


# --- People --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Somebody with a token. Requests carry it in the header; paths and answers are Django's test client's."""

    user: User
    token: str

    @property
    def client(self) -> Client:
        return Client(headers={"Authorization": f"Bearer {self.token}"})

    def get(self, path: str, **parameters: Any) -> Any:
        return self.client.get(path, parameters)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """POST a JSON value, or bytes as they are; nothing at all when there is no body."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        return self.client.post(path, data, content_type="application/json", **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Any:
        """PATCH a JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.patch(path, data, content_type="application/json", **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Any:
        """PUT a JSON value."""
        return self.client.put(path, json.dumps(body), content_type="application/json", **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.client.delete(path, **more)


def _make(role: str, name: str | None, customer: str | None = None) -> Person:
    """Their token's use is noted now, so that budgets count what every request costs and not the first of a minute."""
    username = name or f"{role}-{next(_numbers)}"
    user = accounts.create_user(username=username, role=role, actor=None, customer=customer)
    token = accounts.issue_token(user=user, actor=None)
    accounts.note_use(token)
    return Person(user, token)


def make_admin(name: str | None = None) -> Person:
    return _make(Role.ADMIN, name)


def make_operator(name: str | None = None) -> Person:
    return _make(Role.OPERATOR, name)


def make_monitor(name: str | None = None) -> Person:
    return _make(Role.MONITOR, name)


def make_customer_user(name: str | None = None, customer: str = "acme") -> Person:
    return _make(Role.CUSTOMER, name, customer)


# --- Jobs ----------------------------------------------------------------------------------------


def request_of(**wishes: Any) -> services.JobRequest:
    """A valid JobRequest."""
    wanted: dict[str, Any] = {
        "customer": "acme",
        "region": settings.LOCAL_REGION,
        "classification": "nightly",
        "image": "busybox",
        "command": ["true"],
    }
    return services.JobRequest(**{**wanted, **wishes})


def make_jobs(count: int, owner: Person | User | None = None, **wishes: Any) -> list[Job]:
    """Jobs just submitted, in their order."""
    user = make_operator().user if owner is None else owner.user if isinstance(owner, Person) else owner
    made = services.submit_jobs(owner=user, requests=[request_of(**wishes) for _ in range(count)])
    found = Job.objects.in_bulk([each.id for each in made])
    return [found[each.id] for each in made]


def make_job(owner: Person | User | None = None, **wishes: Any) -> Job:
    """A job just submitted."""
    return make_jobs(1, owner, **wishes)[0]


def make_place(**facts: Any) -> Place:
    """This deployment's local place, as a worker that has just looked reports it."""
    place = place_id("local", settings.LOCAL_REGION)
    services.report_place(place, **{**ROOMY, "runs_for": RunsFor.EVERYONE, **facts})
    return Place.objects.get(pk=place)


def manifest_of(name: str = "count-words", version: str = "1.0.0", **wishes: Any) -> dict[str, Any]:
    """A valid Seed manifest: one text in, one text and one number out. `wishes` are members of its interface."""
    interface = {
        "command": "count ${TEXT} ${OUTPUT_DIR}",
        "inputs": {"files": [{"name": "TEXT", "mediaTypes": ["text/plain"]}]},
        "outputs": {
            "files": [{"name": "COUNTS", "pattern": "counts.txt", "mediaType": "text/plain"}],
            "json": [{"name": "total", "type": "integer"}],
        },
    }
    return {
        "seedVersion": "1.0.0",
        "job": {
            "name": name,
            "jobVersion": version,
            "packageVersion": "1.0.0",
            "title": "Count words",
            "description": "Counts the words of a text",
            "tags": ["text"],
            "maintainer": {"name": "Jane Doe", "email": "jane@example.com"},
            "timeout": 60,
            "resources": {"scalar": [{"name": "cpus", "value": 0.5}, {"name": "mem", "value": 256}]},
            "interface": {**interface, **wishes},
            "errors": [{"code": 3, "name": "no-text", "title": "No text", "description": "", "category": "data"}],
        },
    }


def make_workspace(name: str = "results", **facts: Any) -> Workspace:
    """The workspace of this name: a folder of this deployment's own, unless `facts` say otherwise."""
    found = Workspace.objects.filter(name=name).first()
    if found is not None:
        return found
    folder = {"broker": {"type": "host", "host_path": str(Path(settings.DATA_DIR) / "workspaces" / name)}}
    return jobtypes.create_workspace(**{"name": name, "title": name, "configuration": folder, "actor": None, **facts})


def make_job_type(name: str = "count-words", version: str = "1.0.0", **facts: Any) -> JobType:
    """A published job type, registered as the API does it. `facts` are arguments of create_job_type.

    Without a configuration its files go to the workspace of make_workspace.
    """
    manifest = copy.deepcopy(facts.pop("manifest", manifest_of()))
    manifest["job"] |= {"name": name, "jobVersion": version}
    if "configuration" not in facts:
        facts["configuration"] = {"output_workspaces": {"default": make_workspace().name}}
    wishes = {"docker_image": "count:1", "is_published": True, **facts}
    return jobtypes.create_job_type(actor=None, manifest=manifest, **wishes).job_type


# --- Jobs in other states, by the real scheduler ---------------------------------------------------


class Stage:
    """The scheduler's steps at the local place, one at a time, with a provider that does as it is told."""

    def __init__(self, **facts: Any) -> None:
        self.place = make_place(**facts)
        self.provider = ScriptedProvider()

    def execution(self, job: Job) -> Execution:
        """The job's last execution."""
        found = job.executions.order_by("-number").first()
        assert found is not None, "the job was never claimed"
        return found

    def claim(self) -> int:
        return scheduling.claim(self.place.pk) or 0

    def start(self, *jobs: Job) -> None:
        """Claim what is queued, hand it over, and let `jobs` run."""
        self.claim()
        scheduling.hand_over(self.place.pk, self.provider)
        self._apply(jobs, self.provider.start)

    def end(self, *jobs: Job, exit_code: int | None = 0, end: End = End.EXITED) -> None:
        """Let `jobs` end; cancels are passed on first."""
        scheduling.pass_on_cancels(self.place.pk, self.provider)
        self._apply(jobs, lambda execution_id: self.provider.end(execution_id, exit_code=exit_code, end=end))

    def _apply(self, jobs: Sequence[Job], happen: Any) -> None:
        ids = [str(self.execution(job).uuid) for job in jobs]
        for execution_id in ids:
            happen(execution_id)
        scheduling.apply(self.provider.observe(ids))
        for job in jobs:
            job.refresh_from_db()


def _move(job: Job, to: str, **values: Any) -> None:
    assert services.move({job.pk: values}, to, fields=tuple(values)) == [job.pk]


def _delayed(stage: Stage, job: Job) -> None:
    stage.start(job)
    stage.end(job, exit_code=None, end=End.LOST)


def _failed(stage: Stage, job: Job) -> None:
    stage.start(job)
    stage.end(job, exit_code=3)


def _completed(stage: Stage, job: Job) -> None:
    stage.start(job)
    stage.end(job)


def _canceling(stage: Stage, job: Job) -> None:
    stage.start(job)
    services.cancel_jobs([job.pk], actor=None)


def _rejected(stage: Stage, job: Job) -> None:
    stage.claim()
    stage.provider.failure = Refused("no such image")
    scheduling.hand_over(stage.place.pk, stage.provider)
    stage.provider.failure = None


def _pending(stage: Stage, job: Job) -> None:
    # Only jobs of recipes are submitted as PENDING; of others, the requeue of one that was never queued leads here.
    services.cancel_jobs([job.pk], actor=None)
    _move(job, states.PENDING, ended_at=None, reason="")


def _blocked(stage: Stage, job: Job) -> None:
    _pending(stage, job)
    _move(job, states.BLOCKED)


_WAYS: Final[Mapping[str, Any]] = {
    states.PENDING: _pending,
    states.BLOCKED: _blocked,
    states.QUEUED: lambda stage, job: None,
    states.DELAYED: _delayed,
    states.STARTING: lambda stage, job: stage.claim(),
    states.RUNNING: lambda stage, job: stage.start(job),
    states.CANCELING: _canceling,
    states.COMPLETED: _completed,
    states.FAILED: _failed,
    states.CANCELED: lambda stage, job: services.cancel_jobs([job.pk], actor=None),
    states.REJECTED: _rejected,
}


def make_job_in(status: str, owner: Person | User | None = None, *, stage: Stage | None = None, **wishes: Any) -> Job:
    """A job that the scheduler has brought to `status`."""
    job = make_job(owner, **wishes)
    _WAYS[status](stage or Stage(), job)
    job.refresh_from_db()
    assert job.status == status
    return job


def keep_output(job: Job, stdout: str = "", stderr: str = "") -> None:
    """Files of the job's last execution, as the local provider leaves them once it has ended."""
    execution = job.executions.order_by("-number")[0]
    root = str(settings.LOCAL_ROOT)
    folders.make_root(root)
    folder = folders.folder_of(root, str(execution.uuid))
    folders.make_folder(folder)
    for stream, text in (("stdout", stdout), ("stderr", stderr)):
        (Path(folder) / stream).write_text(text)
    now = timezone.now().timestamp()
    ended = folders.Ended(started=now, ended=now, code=0, end="exited", detail="", node="here")
    folders.write_exit(folder, ended)
