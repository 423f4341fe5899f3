"""Jobs that have ended elsewhere, kept as history: they are shown, and run nowhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from accounts import events
from accounts.models import User
from accounts.services import ensure_customer
from clusters.queries import cloud_regions, missing_settings
from controlplane.core import sets
from controlplane.core.encryption import encrypt
from controlplane.core.errors import InvalidRequest
from jobs.models import Job, Place, Priority, Shape
from jobs.services.places import lane_id, place_id
from jobs.services.requests import DEFAULT_QUEUE

IMPORTED: Final = "IMPORTED"


@dataclass(frozen=True, slots=True)
class PastJob:
    """A job that has ended elsewhere, under the id that it has there. Units and `status` as in jobs.models.Job."""

    uuid: uuid.UUID
    owner: User
    customer: str
    cloud: str
    region: str
    status: str
    submitted_at: datetime
    ended_at: datetime
    vcpus_milli: int
    memory_mib: int
    started_at: datetime | None = None
    classification: str = ""
    image: str = ""
    machine_image: str = ""
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    tags: Mapping[str, Any] = field(default_factory=dict)
    priority: int = Priority.LOW
    queue: str = ""
    timeout_seconds: int | None = None


def known_jobs(uuids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these ids that are here already."""
    return set(Job.objects.filter(sets.among("uuid", list(uuids), Job)).values_list("uuid", flat=True))


def check_region(cloud: str, region: str) -> None:
    """Raise InvalidRequest naming `region` unless jobs may be of there."""
    ours = [*cloud_regions(), ("local", settings.LOCAL_REGION)]
    if (cloud, region) in ours or Place.objects.filter(cloud=cloud, region=region).exists():
        return
    missing = missing_settings(cloud)
    hint = f"set {', '.join(missing)}" if missing else "it is not among those of the settings"
    raise InvalidRequest(f"there is no region {region[:64]!r} of {cloud} here: {hint}", field="region")


def keep_past_jobs(jobs: Sequence[PastJob]) -> int:
    """Keep jobs that have ended elsewhere, all or none, but those that are here already; how many are new.

    They have no executions: nothing of them is metered or billed. Raises InvalidRequest for an unknown region.
    """
    lanes = [_line(job) for job in jobs]
    rows = {
        job.uuid: _row(job, customer, place, lane) for job, (customer, place, lane) in zip(jobs, lanes, strict=True)
    }
    with transaction.atomic():
        known = known_jobs(list(rows))
        made = Job.objects.bulk_create([row for key, row in rows.items() if key not in known])
        told = {"reason": IMPORTED}
        events.record(
            [("job.imported", "job", j.pk, None, j.customer_id, None, {"status": j.status, **told}) for j in made]
        )
    return len(made)


def _line(job: PastJob) -> tuple[int, int, int]:
    place, customer = place_id(job.cloud, job.region), ensure_customer(job.customer)
    queue = job.queue or DEFAULT_QUEUE
    return customer, place, lane_id(place, customer, job.owner.pk, queue, job.vcpus_milli, job.memory_mib)


def _row(job: PastJob, customer: int, place: int, lane: int) -> Job:
    return Job(
        uuid=job.uuid,
        shape=Shape.INSTANCE if job.machine_image else Shape.CONTAINER,
        owner=job.owner,
        customer_id=customer,
        place_id=place,
        lane_id=lane,
        classification=job.classification,
        image=job.machine_image or job.image,
        command=list(job.command),
        env=encrypt(dict(job.env)),
        tags=dict(job.tags),
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        priority=job.priority,
        queue=job.queue,
        timeout_seconds=job.timeout_seconds,
        tries=0 if job.started_at is None else 1,
        status=job.status,
        reason=IMPORTED,
        submitted_at=job.submitted_at,
        queued_at=job.submitted_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        moved_at=job.ended_at,
        modified_at=job.ended_at,
    )
