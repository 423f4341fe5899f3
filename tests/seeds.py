"""Seed jobs for tests: a workspace with files in it, job types, and the scheduler's steps, one at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controlplane.core.encryption import encrypt
from jobs import carrying, services, staging
from jobs.models import File, Job
from jobtypes.models import Error, JobType, Workspace
from tests.factories import Person, Stage, make_customer_user, make_job_type, manifest_of


class Scene:
    """A workspace named results in `folder`, which the settings have to allow."""

    def __init__(self, folder: Path, owner: Person | None = None) -> None:
        self.folder = folder
        folder.mkdir()
        self.workspace = Workspace.objects.create(name="results", title="Results", broker=_broker(folder))
        self.owner = owner or make_customer_user("owner")
        self.stage = Stage()

    def file(self, name: str = "a.txt", text: str = "one two", owner: Person | None = None) -> File:
        (self.folder / name).write_text(text)
        user = (owner or self.owner).user
        return File.objects.create(
            workspace=self.workspace, path=name, name=name, media_type="text/plain", size=len(text), owner=user,
            customer=user.customer,
        )  # fmt: skip

    def job_type(self, configuration: dict[str, Any] | None = None, **interface: Any) -> JobType:
        manifest = manifest_of(**interface)
        Error.objects.get_or_create(job_type_name="count-words", name="no-text", title="No text", category="DATA")
        own = {"output_workspaces": {"default": "results"}, **(configuration or {})}
        return make_job_type(manifest=manifest, configuration=own)

    def submit(self, job_type: JobType, given: Any = None, **wishes: Any) -> Job:
        given = {"files": {"TEXT": [self.file().pk]}} if given is None else given
        user = wishes.pop("user", self.owner).user
        wish = services.SeedWish(job_type, given, **wishes)
        made = services.submit_jobs(owner=user, requests=services.seed_requests(user, [wish]))
        return Job.objects.get(pk=made[0].id)

    def carry(self) -> int:
        found = carrying.to_carry(self.stage.place.pk, 10)
        for execution in found:
            carrying.carry(execution)
        return len(found)

    def start(self, job: Job) -> staging.Room:
        """Claim, bring, hand over, and let it run; its room."""
        assert self.stage.claim() == 1
        assert self.carry() == 1
        self.stage.start(job)
        return staging.room_of(self.stage.execution(job).uuid)

    def end(self, job: Job, **outcome: Any) -> None:
        self.stage.end(job, **outcome)
        self.carry()
        job.refresh_from_db()


def _broker(folder: Path) -> str:
    return encrypt({"broker": json.dumps({"type": "host", "host_path": str(folder)})})


def write_output(room: staging.Room, counts: str = "two\t1\n", total: Any = 2) -> None:
    (room.output / "counts.txt").write_text(counts)
    (room.output / "seed.outputs.json").write_text(json.dumps({"total": total}))
