"""Bulk work on jobs: what was asked for, how far it is, and what failed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from jobs import states


class Kind(models.TextChoices):
    """What an operation does to each job."""

    CANCEL = "cancel"
    REQUEUE = "requeue"
    PRIORITY = "priority"
    HOLD = "hold"
    RELEASE = "release"


class Operation(models.Model):
    """Work on every job that a selection matches, in the order of their ids.

    It touches no job submitted after it (`up_to`), and goes on from `position`, the last id it has dealt
    with, whoever carries it out: `lease_until` says until when somebody does. `total` is counted at its
    start. Its status is moved by jobs.services only.
    """

    kind = models.CharField(max_length=16, choices=Kind.choices)
    status = models.CharField(
        max_length=12, choices=[(s, s) for s in states.OPERATION_STATES], default=states.OPERATION_WAITING
    )
    selection: models.JSONField[Any, Any] = models.JSONField(help_text="Filters of the job list, each with its values.")
    parameters: models.JSONField[Any, Any] = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    total = models.PositiveIntegerField(null=True)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    position = models.BigIntegerField(default=0, editable=False)
    up_to = models.BigIntegerField(editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [("stop_operation", "Can stop operations")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=states.OPERATION_FINAL, ended_at__isnull=False)
                | (~Q(status__in=states.OPERATION_FINAL) & Q(ended_at__isnull=True)),
                name="operation_ended_when_final",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"], name="operation_open", condition=~Q(status__in=states.OPERATION_FINAL)
            ),
            models.Index(fields=["created_by", "id"], name="operation_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class OperationFailure(models.Model):
    """A job that an operation could not change, and why."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="failures", db_index=False)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="+", db_index=False)
    code = models.CharField(max_length=32)
    message = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["operation", "job"], name="operation_failure_once")]

    def __str__(self) -> str:
        return f"{self.job_id}: {self.code}"


class ThroughputSample(models.Model):
    """How many jobs came to an end within five minutes from `at` on, by how: the category is their error's, or none.

    Tasks of MapReduce jobs are not among them. The present span is counted again until it is over.
    """

    at = models.DateTimeField()
    status = models.CharField(max_length=12)
    category = models.CharField(max_length=16, blank=True)
    number = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["at", "status", "category"], name="throughput_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.status} from {self.at}"


class LaneCount(models.Model):
    """How many jobs of a lane waited or were active, by what kind, at the last count, unless they were few in all.

    Written and read by jobs.alive_sql, which says what the columns mean; every count replaces the one before.
    """

    at = models.DateTimeField()
    lane_id = models.BigIntegerField()
    status = models.CharField(max_length=12)
    shape = models.CharField(max_length=12)
    code = models.CharField(max_length=64)
    jobs = models.PositiveIntegerField()
    vcpus_milli = models.BigIntegerField()
    memory_mib = models.BigIntegerField()
    since = models.DateTimeField()
    priority = models.IntegerField()
    first = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lane_id", "status", "shape", "code"], name="lane_count_once"),
        ]

    def __str__(self) -> str:
        return f"{self.jobs} {self.status} in lane {self.lane_id}"


class LoadSample(models.Model):
    """How many jobs waited and ran at one moment: a row a minute while there are any."""

    at = models.DateTimeField(unique=True)
    pending = models.PositiveIntegerField()
    queued = models.PositiveIntegerField()
    running = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.at}"
