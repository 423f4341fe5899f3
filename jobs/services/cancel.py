"""Stopping jobs, and submitting ended ones again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import events
from accounts.models import User
from controlplane.core import sets
from controlplane.core.encryption import decrypt
from jobs import sql, states
from jobs.errors import JobState
from jobs.models import Job
from jobs.services.move import move
from jobs.services.submit import JobRequest, SeedPart, Submitted, submit_jobs

CANCELED_BY_USER = "CANCELED_BY_USER"
MAX_TRIES = 32_767  # what its column holds


def cancel_jobs(ids: Sequence[int], *, actor: User | None) -> dict[int, str]:
    """Ask for jobs to be stopped. Returns the status that each which moved has now.

    One that has not been handed to a provider is CANCELED at once; one that has becomes CANCELING
    until the provider says that it ended. Ended ones are left alone.
    """
    actor_id = actor.pk if actor else None
    now = timezone.now()
    with transaction.atomic():
        # Waiting first: a job that starts between the two statements is caught by the second.
        values = {i: {"ended_at": now, "reason": CANCELED_BY_USER, "due_at": None} for i in ids}
        rows = Job.objects.filter(sets.among("id", list(ids), Job))
        waiting = list(
            rows.filter(status__in=states.WAITING).select_for_update().order_by("id").values_list("id", flat=True)
        )
        done = move(
            {i: values[i] for i in waiting}, states.CANCELED, fields=("ended_at", "reason", "due_at"), actor_id=actor_id
        )
        asked = move({i: {} for i in ids if i not in set(done)}, states.CANCELING, actor_id=actor_id)
        _ring_for(asked)
    return {**dict.fromkeys(done, states.CANCELED), **dict.fromkeys(asked, states.CANCELING)}


def requeue_jobs(ids: Sequence[int], *, actor: User | None, priority: int | None = None) -> list[int]:
    """Take FAILED and CANCELED jobs back into the queue, on the same rows. Returns the ids that went.

    Each gets as many tries more as it was granted at its submit, and a new execution when its turn
    comes; one that was never queued waits for its parents again.
    """
    again = {"ended_at": None, "started_at": None, "error": None, "reason": "REQUEUED"}
    with transaction.atomic():
        jobs = Job.objects.filter(
            sets.among("id", list(ids), Job),
            status__in=(states.FAILED, states.CANCELED),
            superseded_at__isnull=True,
        )
        rows = jobs.select_for_update().order_by("id")
        values: dict[str, dict[int, dict[str, Any]]] = {states.QUEUED: {}, states.PENDING: {}}
        now = timezone.now()
        for job_id, queued_at, before, max_tries, granted in rows.values_list(
            "id", "queued_at", "priority", "max_tries", "tries_granted"
        ):
            raised = min(max_tries + granted, MAX_TRIES)
            wish = {**again, "max_tries": raised, "priority": before if priority is None else priority}
            to = states.PENDING if queued_at is None else states.QUEUED
            values[to][job_id] = {**wish, "queued_at": None if queued_at is None else now}
        fields = (*again, "max_tries", "priority", "queued_at")
        actor_id = actor.pk if actor else None
        moved = [i for to, chosen in values.items() for i in move(chosen, to, fields=fields, actor_id=actor_id)]
        _ring_for(moved)
    return moved


def _seed_of(job: Job) -> SeedPart | None:
    """What makes the job a Seed job, for another of its kind: outside of its recipe, which has its own ways."""
    if job.job_type_id is None or job.revision_id is None:
        return None
    return SeedPart(
        job_type_id=job.job_type_id,
        revision_id=job.revision_id,
        input=job.input or {},
        input_bytes=job.input_bytes or 0,
        configuration=job.configuration,
    )


def _ring_for(ids: Sequence[int]) -> None:
    """Wake the schedulers of these jobs' places."""
    rows = Job.objects.filter(sets.among("id", list(ids), Job))
    places = rows.order_by().values_list("place__cloud", "place__region").distinct()
    sql.ring({sql.pulse_queue(cloud, region) for cloud, region in places} if ids else set())


def retry_job(job: Job, *, actor: User) -> Submitted:
    """Submit an ended job again: a new job with the whole request, linked by `retry_of`, of the same owner.

    Raises JobState while the job has not ended.
    """
    if job.status not in states.FINAL:
        raise JobState(f"The job is {job.status}; only an ended job can be retried.")
    request = JobRequest(
        customer=job.customer.name,
        cloud=job.place.cloud,
        region=job.place.region,
        classification=job.classification,
        image=job.image,
        command=job.command,
        env=decrypt(job.env),
        secret_env=job.secret_env,
        tags=job.tags,
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        priority=job.priority,
        queue=job.queue,
        timeout_seconds=job.timeout_seconds,
        max_tries=job.max_tries,
        retry_of=job.pk,
        seed=_seed_of(job),
    )
    with transaction.atomic():
        made = submit_jobs(owner=job.owner, requests=[request])[0]
        events.record([("job.retried", "job", job.pk, actor.pk, job.customer_id, None, {"retry": str(made.uuid)})])
    return made
