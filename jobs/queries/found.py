"""Jobs, executions and bulk work, as callers may see them."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from typing import Any, Final

from django.db.models import QuerySet

from accounts import access
from accounts.models import Event, Role, User
from controlplane.core.encryption import SecretUnreadable, decrypt
from controlplane.core.filters import key_of
from jobs.errors import ExecutionNotFound, JobNotFound, OperationNotFound
from jobs.models import Execution, Job, Operation, Place
from jobs.queries.around import MASK

UNREADABLE: Final = "(no present key reads it)"
# What lists show of a job. Columns, not rows of six models: making those takes longer than all else of a page.
LISTED: Final = (
    *("id", "uuid", "shape", "status", "reason", "classification", "image", "command", "tags", "vcpus_milli"),
    *("memory_mib", "priority", "timeout_seconds", "max_tries", "tries", "error_id", "retry_of_id", "capacity"),
    *("submitted_at", "queued_at", "started_at", "ended_at", "moved_at", "modified_at"),
    *("customer__name", "owner__username", "place__cloud", "place__region", "lane__queue", "lane__on_hold"),
    *("job_type_id", "revision_id", "input", "input_bytes", "recipe_id", "supersedes_id", "superseded_at"),
    *("parent_id", "part"),
)


_WITH_IT: Final = ("customer", "owner", "place", "lane", "error", "job_type", "revision")


def job_by_reference(reference: str) -> Job:
    """The job with this id or uuid. Raises JobNotFound."""
    job = Job.objects.select_related(*_WITH_IT).filter(**key_of(reference, JobNotFound)).first()
    if job is None:
        raise JobNotFound
    return job


def find_job(user: User, reference: str, action: str) -> Job:
    """The job with this id or uuid, if `user` may do `action` to it. Raises JobNotFound, Forbidden."""
    job = job_by_reference(reference)
    access.enforce(access.decide(user, "jobs", action, owner_id=job.owner_id, customer_id=job.customer_id), JobNotFound)
    return job


def places_of_clouds() -> QuerySet[Place]:
    """The regions of clouds that were ever set up here."""
    return Place.objects.exclude(cloud="local").order_by("cloud", "region")


def find_place(cloud: str, region: str) -> Place | None:
    return Place.objects.filter(cloud=cloud, region=region).first()


def columns_of(job: Job) -> dict[str, Any]:
    """The columns that lists show of one job, loaded with its customer, owner, place and lane."""
    return {name: reduce(getattr, name.split("__"), job) for name in LISTED}


def visible_jobs(user: User) -> QuerySet[Job]:
    """The jobs that `user` may read. No tasks."""
    jobs = Job.objects.all()
    if user.role != Role.CUSTOMER:
        return jobs
    return jobs.filter(customer=user.customer_id) if user.customer_id is not None else jobs.none()


def changeable_jobs(user: User) -> QuerySet[Job]:
    """The jobs that `user` may change."""
    if access.decide(user, "jobs", access.CHANGE).allowed:
        return Job.objects.all()
    return Job.objects.filter(owner=user) if user.role == Role.CUSTOMER else Job.objects.none()


def environment(job: Job, reader: User) -> dict[str, str]:
    """The job's env: whole to its owner and to operators but for the names it keeps secret, masked to others."""
    try:
        env = decrypt(job.env)
    except SecretUnreadable:
        return {UNREADABLE: MASK}
    may_see = reader.role in (Role.ADMIN, Role.OPERATOR) or (reader.role == Role.CUSTOMER and reader.pk == job.owner_id)
    return {name: value if may_see and name not in job.secret_env else MASK for name, value in env.items()}


def executions(job: Job) -> QuerySet[Execution]:
    return job.executions.select_related("error", "place").order_by("number")


def last_execution(job: Job) -> Execution | None:
    return job.executions.select_related("error").order_by("-number").first()


def find_execution(job: Job, number: int) -> Execution:
    """An execution of the job by its number. Raises ExecutionNotFound."""
    found = job.executions.select_related("error").filter(number=number).first() if number < 2**15 else None
    if found is None:
        raise ExecutionNotFound
    return found


def find_any_execution(user: User, reference: str) -> Execution:
    """An execution by its own id or uuid, if `user` may read its job. Raises ExecutionNotFound, Forbidden."""
    try:
        found = Execution.objects.select_related("job").filter(**key_of(reference, JobNotFound)).first()
    except JobNotFound:
        found = None
    if found is None:
        raise ExecutionNotFound
    try:
        find_job(user, str(found.job_id), access.READ)
    except JobNotFound:
        raise ExecutionNotFound from None
    return found


def timeline(job: Job) -> QuerySet[Event]:
    """What happened to the job, in order."""
    return Event.objects.filter(subject_kind="job", subject_id=job.pk).order_by("id")


def submitted_between(
    user: User,
    customer: str,
    start: datetime,
    end: datetime,
    *,
    classification: str | None = None,
    cloud: str | None = None,
    region: str | None = None,
) -> QuerySet[Job]:
    """A customer's jobs submitted from `start` to `end`, both included, newest first, that `user` may read.

    Without tasks of MapReduce jobs.
    """
    jobs = visible_jobs(user).filter(parent__isnull=True)
    jobs = jobs.filter(customer__name=customer, submitted_at__gte=start, submitted_at__lte=end)
    if classification is not None:
        jobs = jobs.filter(classification=classification)
    if cloud is not None:
        jobs = jobs.filter(place__cloud=cloud)
    if region is not None:
        jobs = jobs.filter(place__region=region)
    return jobs.select_related("customer", "place", "retry_of").order_by("-submitted_at", "-id")


def visible_operations(user: User) -> QuerySet[Operation]:
    """The bulk work that `user` may read."""
    rows = Operation.objects.select_related("created_by")
    return rows if access.decide(user, "operations", access.READ).allowed else rows.filter(created_by=user)


def find_operation(user: User, operation_id: int, action: str) -> Operation:
    """Bulk work by its id, if `user` may do `action` to it. Raises OperationNotFound, Forbidden."""
    operation = Operation.objects.select_related("created_by").filter(pk=operation_id).first()
    if operation is None:
        raise OperationNotFound
    access.enforce(access.decide(user, "operations", action, owner_id=operation.created_by_id), OperationNotFound)
    return operation


def check_may_submit(user: User) -> None:
    """Raise Forbidden unless `user` may have jobs, and so change some."""
    access.demand(user, "jobs", access.CHANGE, owner_id=user.pk)


def check_may_read_all(user: User) -> None:
    """Raise Forbidden unless `user` may read everybody's jobs."""
    access.demand(user, "jobs", access.READ)
