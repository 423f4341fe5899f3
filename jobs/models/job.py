"""A piece of work, its tries, and the errors they end with."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User
from controlplane.core.ids import uuid7
from jobs import states
from jobs.models.engine import Lane, Place
from jobs.models.failure import FailureCluster
from jobs.models.policy import Policy
from jobs.models.submission import Submission
from jobtypes.models import Error, JobType, JobTypeRevision

# The lane of a job names the same owner, customer and place, and the database holds the lane to them: checking
# them again for every job would be three look-ups per row.
BY_LANE: Final[Any] = {"db_index": False, "db_constraint": False}


class Shape(models.TextChoices):
    """What kind of work a job is."""

    CONTAINER = "container"
    INSTANCE = "instance"
    SEED = "seed"
    MAPREDUCE = "mapreduce"
    MAP = "map"
    REDUCE = "reduce"


# What stands around such a job's command: see jobs.staging.
STAGED: Final = (Shape.SEED, Shape.MAP, Shape.REDUCE)
# Tasks of a MapReduce job, which itself runs nothing and takes no room.
TASKS: Final = (Shape.MAP, Shape.REDUCE)


class Priority(models.IntegerChoices):
    """The two names of the Mapsor surface; any number may be stored, smaller ones run first."""

    HIGH = 50
    LOW = 100


MAX_PRIORITY: Final = 1_000_000  # as callers may ask for it
MOST_EXECUTIONS: Final = 32_767  # of a job, which is what the column of their numbers holds


class Job(models.Model):
    """One row of work, whichever surface it came through. Its status is moved by jobs.services only.

    Memory in MiB, CPU in thousandths of a vCPU, smaller priority runs first. `env` is encrypted.
    An instance job is a whole machine of a cloud: `image` is its machine image, `user_data`, encrypted, what it boots
    with.

    `tries` counts executions so far, `max_tries` bounds them; a requeue grants `tries_granted` more, and
    `tries_before` it there were so many.

    A Seed job has a job type, the revision it was submitted with, and `input` and `output` as its interface
    says: {"files": {NAME: [file id]}, "json": {NAME: value}}. `input_bytes` is the size of its input files,
    `configuration` what was given for this job alone.

    A MapReduce job has a MapReduceSpec, and its tasks are jobs whose `parent` it is: `shape` is their stage,
    `part` their number in it, `input` the split of a map task, `output` what the task has left.

    With a `policy` it may go from place to place: it is at number `rung` of the policy's places, and leaves that for
    the next at `leaves_at` if it still waits there. `affordable_seconds` is how long its next execution may run for
    the policy's money. `capacity` is which kind of machine it asks for, "" as the place has it.

    `failure_cluster`: of its last failure, also when it has been requeued since.
    """

    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    shape = models.CharField(max_length=16, choices=Shape.choices, default=Shape.CONTAINER)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", **BY_LANE)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", **BY_LANE)
    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="+", **BY_LANE)
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="+", db_index=False)
    classification = models.CharField(max_length=255, help_text="The submitter's own name for this kind of job.")
    image = models.CharField(max_length=1024, blank=True)
    command: models.JSONField[Any, Any] = models.JSONField(default=list)
    env = models.TextField(blank=True, editable=False)
    user_data = models.TextField(blank=True, editable=False, db_default="")
    secret_env: models.JSONField[Any, Any] = models.JSONField(default=list)
    tags: models.JSONField[Any, Any] = models.JSONField(default=dict)
    vcpus_milli = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    priority = models.IntegerField(default=Priority.LOW)
    queue = models.CharField(max_length=64, blank=True, help_text="As asked for; empty when the priority chose it.")
    timeout_seconds = models.PositiveIntegerField(null=True)
    max_tries = models.PositiveSmallIntegerField(default=1)
    tries_granted = models.PositiveSmallIntegerField(default=1, help_text="How many tries a submit or requeue gives.")
    tries = models.PositiveSmallIntegerField(default=0)
    tries_before = models.PositiveSmallIntegerField(default=0, db_default=0)
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries", db_index=False)
    job_type = models.ForeignKey(JobType, null=True, on_delete=models.PROTECT, related_name="+", **BY_LANE)
    revision = models.ForeignKey(JobTypeRevision, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    input: models.JSONField[Any, Any] = models.JSONField(null=True)
    output: models.JSONField[Any, Any] = models.JSONField(null=True)
    configuration: models.JSONField[Any, Any] = models.JSONField(null=True)
    input_bytes = models.PositiveBigIntegerField(null=True)
    recipe = models.ForeignKey("jobs.Recipe", null=True, on_delete=models.SET_NULL, related_name="jobs", db_index=False)
    superseded_at = models.DateTimeField(null=True)
    supersedes = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="superseded_by", db_index=False
    )

    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="parts", db_index=False)
    part = models.PositiveIntegerField(null=True)

    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    rung = models.PositiveSmallIntegerField(default=0, db_default=0)
    capacity = models.CharField(max_length=16, blank=True, db_default="")
    affordable_seconds = models.PositiveIntegerField(null=True)
    leaves_at = models.DateTimeField(null=True)

    status = models.CharField(max_length=12, choices=[(s, s) for s in states.JOB_STATES], default=states.QUEUED)
    reason = models.CharField(max_length=64, blank=True, help_text="Why it has the status it has; a stable code.")
    error = models.ForeignKey(Error, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    failure_cluster = models.ForeignKey(
        FailureCluster, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    submitted_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(default=timezone.now, help_text="When its status changed last.")
    modified_at = models.DateTimeField(default=timezone.now, help_text="When anything of it changed last.")

    class Meta:
        permissions = [
            ("cancel_job", "Can cancel jobs"),
            ("retry_job", "Can retry jobs"),
            ("requeue_job", "Can requeue jobs"),
            ("prioritize_job", "Can change the priority of jobs"),
            ("hold_job", "Can hold and release jobs"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=states.JOB_STATES), name="job_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=states.FINAL, ended_at__isnull=False)
                | (~Q(status__in=states.FINAL) & Q(ended_at__isnull=True)),
                name="job_ended_when_final",
            ),
            models.CheckConstraint(
                condition=Q(status=states.DELAYED, due_at__isnull=False)
                | (~Q(status=states.DELAYED) & Q(due_at__isnull=True)),
                name="job_due_when_delayed",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=(states.QUEUED, states.RUNNING)) | Q(queued_at__isnull=False),
                name="job_queued_at_when_queued",
            ),
            models.CheckConstraint(
                condition=Q(shape="seed", job_type__isnull=False, revision__isnull=False)
                | (~Q(shape="seed") & Q(job_type__isnull=True, revision__isnull=True)),
                name="job_type_of_seed_jobs",
            ),
            models.CheckConstraint(
                condition=Q(shape__in=TASKS, parent__isnull=False, part__isnull=False)
                | (~Q(shape__in=TASKS) & Q(parent__isnull=True, part__isnull=True)),
                name="job_parent_of_tasks",
            ),
            models.UniqueConstraint(
                fields=["parent", "shape", "part"],
                condition=Q(parent__isnull=False, superseded_at__isnull=True),
                name="job_part_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "priority", "queued_at", "id"], name="job_in_line", condition=Q(status=states.QUEUED)
            ),
            # What takes room, by lane: a MapReduce job takes none, its tasks do.
            models.Index(
                fields=["lane"], name="job_active", condition=Q(status__in=states.ACTIVE) & ~Q(shape="mapreduce")
            ),
            models.Index(fields=["due_at"], name="job_delayed", condition=Q(status=states.DELAYED)),
            models.Index(
                fields=["leaves_at"],
                name="job_leaving",
                condition=Q(leaves_at__isnull=False, status__in=(states.QUEUED, states.STARTING)),
            ),
            models.Index(
                fields=["customer", "submitted_at", "id"], name="job_of_customer", condition=Q(parent__isnull=True)
            ),
            models.Index(fields=["retry_of"], name="job_retries", condition=Q(retry_of__isnull=False)),
            # The lists, without tasks: everybody's, a customer's, those in a state, those of a class.
            models.Index(fields=["modified_at", "id"], name="job_by_change", condition=Q(parent__isnull=True)),
            models.Index(
                fields=["customer", "modified_at", "id"],
                name="job_of_customer_by_change",
                condition=Q(parent__isnull=True),
            ),
            models.Index(
                fields=["status", "modified_at", "id"],
                name="job_in_state_by_change",
                condition=Q(parent__isnull=True),
            ),
            # By its beginning, too: that takes an operator class on PostgreSQL.
            models.Index(
                fields=["classification", "id"],
                name="job_of_class",
                opclasses=["varchar_pattern_ops", "int8_ops"],
                condition=Q(parent__isnull=True),
            ),
            # Few have one: lists of those that ended for a reason.
            models.Index(fields=["reason", "id"], name="job_for_reason", condition=~Q(reason="")),
            # Those of a job type: the list, and the first and last of each state.
            models.Index(
                fields=["job_type", "modified_at", "id"],
                name="job_of_type_by_change",
                condition=Q(job_type__isnull=False),
            ),
            models.Index(
                fields=["job_type", "status", "error", "moved_at"],
                name="job_of_type_in_state",
                condition=Q(job_type__isnull=False),
            ),
            # MapReduce: those that go on now, and of each all tasks, and those that have not come to a good end.
            models.Index(
                fields=["parent", "modified_at", "id"],
                name="job_of_parent_by_change",
                condition=Q(parent__isnull=False),
            ),
            models.Index(
                fields=["place"],
                name="job_mapreduce_alive",
                condition=Q(shape="mapreduce", status__in=(states.PENDING, states.RUNNING, states.CANCELING)),
            ),
            models.Index(
                fields=["parent", "shape", "status"],
                name="job_part_not_done",
                condition=Q(parent__isnull=False) & ~Q(status=states.COMPLETED),
            ),
            # What jobs of a kind took, newest first: from it a dry run says what one more will cost.
            models.Index(
                fields=["customer", "classification", "id"],
                name="job_done_of_class",
                condition=Q(status=states.COMPLETED, parent__isnull=True),
            ),
            models.Index(
                fields=["customer", "revision", "id"],
                name="job_done_of_revision",
                condition=Q(status=states.COMPLETED, revision__isnull=False),
            ),
            # Those of a failure cluster: the list, and those that are failed now.
            models.Index(
                fields=["failure_cluster", "id"],
                name="job_of_failure_cluster",
                condition=Q(failure_cluster__isnull=False),
            ),
            models.Index(
                fields=["failure_cluster", "id"],
                name="job_failed_of_cluster",
                condition=Q(failure_cluster__isnull=False, status__in=states.FAILED_STATES),
            ),
            models.Index(fields=["recipe"], name="job_of_recipe", condition=Q(recipe__isnull=False)),
            models.Index(fields=["supersedes"], name="job_superseded", condition=Q(supersedes__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class Execution(models.Model):
    """One try of a job at a provider. Its uuid is its name there, and the token without which no answer is applied.

    What a Seed job takes in is carried to the place before it is handed over (`prepared_at`), and what it
    gives is carried away after its command has ended (`stopped_at`): `leased_until` is how long somebody
    who does either may be trusted to be at it.

    At a cloud it goes with a `submission`, at a `position` in it, and the cloud names it by `handle`. What it
    writes there is copied to our own storage, next at `copy_at`; once it has ended and that is null, all is there.

    Shortly after it has ended it keeps what an hour of it cost when it began: `price_rate` in USD, by which offer and
    whose word. Without a rate the source is "none"; an empty one: it was not looked up yet.

    `reserved_nano`, in billionths of USD, is what it may still come to beyond what has been metered of it: kept from
    its start until then for the SpendGates over it.
    """

    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="executions")
    number = models.PositiveSmallIntegerField()
    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="+", **BY_LANE)
    capacity = models.CharField(max_length=16, blank=True, db_default="")
    status = models.CharField(max_length=12, choices=[(s, s) for s in states.EXECUTION_STATES], default=states.CREATED)
    node = models.CharField(max_length=255, blank=True)
    exit_code = models.IntegerField(null=True)
    detail = models.CharField(max_length=1000, blank=True, help_text="The provider's own words.")
    error = models.ForeignKey(Error, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    prepared_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    logs_kept = models.BooleanField(default=True, help_text="False once retention has deleted its output.")
    submission = models.ForeignKey(
        Submission, null=True, on_delete=models.PROTECT, related_name="executions", db_index=False
    )
    position = models.PositiveIntegerField(null=True)
    handle = models.CharField(max_length=255, blank=True, db_default="")
    copy_at = models.DateTimeField(null=True)
    price_offer = models.CharField(max_length=160, blank=True, db_default="")
    price_rate = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    price_source = models.CharField(max_length=16, blank=True, db_default="")
    reserved_nano = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="execution_number_once"),
            models.UniqueConstraint(
                fields=["job"], condition=Q(status__in=states.EXECUTION_ACTIVE), name="execution_one_active"
            ),
            models.CheckConstraint(condition=Q(status__in=states.EXECUTION_STATES), name="execution_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=states.EXECUTION_FINAL, ended_at__isnull=False)
                | (~Q(status__in=states.EXECUTION_FINAL) & Q(ended_at__isnull=True)),
                name="execution_ended_when_final",
            ),
        ]
        indexes = [
            models.Index(
                fields=["place", "id"], name="execution_active", condition=Q(status__in=states.EXECUTION_ACTIVE)
            ),
            models.Index(fields=["ended_at"], name="execution_by_age", condition=Q(logs_kept=True)),
            models.Index(fields=["submission"], name="execution_of_submission", condition=Q(submission__isnull=False)),
            models.Index(
                fields=["id"],
                name="execution_unpriced",
                condition=Q(status__in=states.EXECUTION_FINAL, price_source=""),
            ),
            models.Index(fields=["place", "copy_at"], name="execution_to_copy", condition=Q(copy_at__isnull=False)),
            models.Index(fields=["job"], name="execution_reserved", condition=Q(reserved_nano__gt=0)),
            models.Index(fields=["handle"], name="execution_by_handle", condition=~Q(handle="")),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.number}"
