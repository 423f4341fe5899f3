"""MapReduce jobs for tests, and tasks that end as they are told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts import access
from jobs import services, states
from jobs.models import ArtifactVersion, Execution, Job, Protocol, Shape
from jobs.queries.artifacts import find_artifact
from jobs.services import MapReduceWish, advance_mapreduce, look_for_input, submit_mapreduce
from jobs.services.artifacts import put_artifact
from jobtypes.models import Error
from tests.factories import Person, make_customer_user

_numbers = itertools.count(1)
PROGRAM = b"#!/bin/sh\nexec cat\n"


def program(owner: Person, name: str = "mapper", *, protocol: str = Protocol.STREAMING) -> ArtifactVersion:
    """The newest version of the owner's artifact of this name; made if it is not there."""
    put_artifact(actor=owner.user, name=name, source=[PROGRAM], protocol=protocol)
    artifact = find_artifact(owner.user, name, access.READ)
    return artifact.versions.select_related("artifact").get(number=artifact.version)


def folder() -> Path:
    """A folder that MapReduce jobs may read and write; its name is new each time."""
    made = Path(settings.MAPREDUCE_FOLDERS[0]) / f"f{next(_numbers)}"
    made.mkdir(parents=True)
    return made


def write_input(text: bytes = b"a\nb\nc\n", name: str = "in.txt") -> str:
    """A file with `text`, as the location of an input."""
    path = folder() / name
    path.write_bytes(text)
    return f"file://{path}"


def make_mapreduce(owner: Person | None = None, *, looked: bool = True, **wish: Any) -> Job:
    """A MapReduce job; by default of three map tasks and one reduce task, which are queued as far as they can be."""
    owner = owner or make_customer_user()
    given: dict[str, Any] = {"inputs": [write_input()], "split_bytes": 2, "reducers": 1, "output": f"file://{folder()}"}
    given |= {"protocol": Protocol.STREAMING, **wish}
    given.setdefault("mapper", program(owner, protocol=given["protocol"]))
    given.setdefault("reducer", program(owner, "reducer", protocol=given["protocol"]))
    if owner.user.customer is None:
        given.setdefault("customer", "acme")
    job = submit_mapreduce(owner=owner.user, wish=MapReduceWish(**given))
    if looked:
        look_for_input(job.pk)
        job.refresh_from_db()
    return job


def tasks(job: Job, stage: str = Shape.MAP) -> list[Job]:
    """Those of a stage that are not superseded, in their order."""
    return list(Job.objects.filter(parent=job, shape=stage, superseded_at=None).order_by("part"))


def run(task: Job) -> Execution:
    """Let a task be claimed and run, without a scheduler."""
    services.move({task.pk: {"tries": task.tries + 1}}, states.STARTING, fields=("tries",))
    now = timezone.now()
    made = Execution.objects.create(job=task, number=task.tries + 1, place_id=task.place_id, status=states.RUNNING)
    Execution.objects.filter(pk=made.pk).update(started_at=now)
    services.move({task.pk: {"started_at": now, "reason": ""}}, states.RUNNING, fields=("started_at", "reason"))
    return made


def end(task: Job, status: str = states.COMPLETED, *, error: str = "", output: Mapping[str, Any] | None = None) -> None:
    """Let a task run and end; `error`: the name of the built-in error it ends with."""
    execution = run(task)
    now = timezone.now()
    found = Error.objects.get(name=error, is_builtin=True).pk if error else None
    Execution.objects.filter(pk=execution.pk).update(status=status, ended_at=now, detail=f"it was {error or 'well'}")
    values = {"ended_at": now, "error": found, "reason": error.upper().replace("-", "_"), "output": dict(output or {})}
    services.move({task.pk: values}, status, fields=tuple(values))


def carry_on(job: Job) -> Job:
    """What the scheduling pass does for it, until there is nothing to be done; the job as it is then."""
    for _ in range(2):  # what was stopped is seen to have ended in the next look
        while advance_mapreduce(job.place_id):
            pass
    job.refresh_from_db()
    return job


def complete(job: Job) -> Job:
    """Let all of its tasks end well."""
    for stage in (Shape.MAP, Shape.REDUCE):
        for task in tasks(job, stage):
            end(task, output={"outputs": {"0": 3}, "folder": "0-1", "bytes_in": 2, "records_in": 1, "records_out": 1})
        carry_on(job)
    return job
