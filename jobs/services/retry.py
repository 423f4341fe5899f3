"""Submitting ended jobs again."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from accounts import events
from accounts.models import User
from controlplane.core.encryption import decrypt
from jobs import states
from jobs.errors import JobState
from jobs.models import Job, Shape
from jobs.policy import Policy
from jobs.queries.policies import policy_of
from jobs.services.mapreduce import MapReduceWish, again, submit_mapreduce
from jobs.services.placing import ANYWHERE
from jobs.services.requests import JobRequest, SeedPart
from jobs.services.submit import Submitted, submit_jobs


def retry_job(job: Job, *, actor: User) -> Submitted:
    """Submit an ended job again: a new job with the whole request, linked by `retry_of`, of the same owner.

    Raises JobState while the job has not ended, for a task, and for a MapReduce job whose credentials are erased.
    """
    if job.status not in states.FINAL:
        raise JobState(f"The job is {job.status}; only an ended job can be retried.")
    if job.parent_id is not None:
        raise JobState("A task runs again with its MapReduce job: retry or requeue that one.")
    with transaction.atomic():
        if job.shape == Shape.MAPREDUCE:
            new = submit_mapreduce(owner=job.owner, wish=again(job))
            made = Submitted(new.pk, new.uuid)
        else:
            made = submit_jobs(owner=job.owner, requests=[_request(job)])[0]
        _tell(job, made, actor)
    return made


def submit_again(job: Job, *, actor: User, request: JobRequest | MapReduceWish) -> int:
    """Submit what was made from a job and then changed, for `actor`: a new job, linked by `retry_of`. Returns its id.

    The job itself stays as it is, ended or not. Raises what submit_jobs and submit_mapreduce do.
    """
    request = replace(request, retry_of=job.pk)
    with transaction.atomic():
        if isinstance(request, JobRequest):
            made = submit_jobs(owner=actor, requests=[request])[0]
        else:
            new = submit_mapreduce(owner=actor, wish=request)
            made = Submitted(new.pk, new.uuid)
        _tell(job, made, actor)
    return made.id


def _tell(job: Job, made: Submitted, actor: User) -> None:
    events.record([("job.retried", "job", job.pk, actor.pk, job.customer_id, None, {"retry": str(made.uuid)})])


def _request(job: Job) -> JobRequest:
    policy = policy_of(job.policy_id)
    cloud, region = job.place.cloud, job.place.region
    if policy is not None and policy.is_chosen:  # the best place of then may not be that of now
        policy, cloud, region = replace(policy, places=()), ANYWHERE, ""
    return JobRequest(
        customer=job.customer.name,
        cloud=cloud,
        region=region,
        capacity="" if cloud == ANYWHERE else job.capacity,
        policy=None if policy == Policy() else policy,
        classification=job.classification,
        image="" if job.shape == Shape.INSTANCE else job.image,
        machine_image=job.image if job.shape == Shape.INSTANCE else "",
        user_data=decrypt(job.user_data).get("user_data", ""),
        command=job.command,
        env=decrypt(job.env),
        secret_env=job.secret_env,
        tags=job.tags,
        vcpus_milli=job.vcpus_milli,
        memory_mib=job.memory_mib,
        priority=job.priority,
        queue=job.queue,
        timeout_seconds=job.timeout_seconds,
        max_tries=job.tries_granted,
        retry_of=job.pk,
        seed=_seed_of(job),
    )


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
