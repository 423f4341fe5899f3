"""Failures that have the same in common, which of them there were, and how many when."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from jobtypes.models import Error

UNBOUND: Final[Any] = {"db_index": False, "db_constraint": False}


class FailureCluster(models.Model):
    """All failures with one fingerprint: the ends of their logs, the error they had then, and the exit code.

    `title` says what they have in common, `sample_log` is the end of what the last one wrote of which there is a log.
    `named`: the error that staff have given its failures, those to come too. `total` counts failures, also of jobs
    that were requeued and have come to a better end.
    """

    fingerprint = models.CharField(max_length=40, unique=True, editable=False)
    title = models.CharField(max_length=200)
    error = models.ForeignKey(Error, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    exit_code = models.IntegerField(null=True)
    named = models.ForeignKey(Error, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    named_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    named_at = models.DateTimeField(null=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    total = models.PositiveBigIntegerField(default=0)
    sample_job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    sample_number = models.PositiveSmallIntegerField(null=True, help_text="Of the sample's execution.")
    sample_at = models.DateTimeField(null=True)
    sample_log = models.TextField(blank=True)
    modified_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(named__isnull=True, named_at__isnull=True) | Q(named__isnull=False, named_at__isnull=False),
                name="failure_cluster_named_at_when_named",
            ),
        ]
        indexes = [
            models.Index(fields=["last_seen", "id"], name="failure_cluster_recent"),
            # How many kinds of failures an error had lately: see services.failures.
            models.Index(fields=["error", "first_seen"], name="failure_cluster_of_error"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def means(self) -> Error | None:
        """What its failures count as: the error that staff gave them, else the one they had."""
        return self.named or self.error


class Failure(models.Model):
    """That a job failed, once for each event that tells of it; it waits for its cluster until it has one.

    `error` and `exit_code` are as they were then. Without an execution it failed while it waited, or as a whole.
    `due_at`: when its log is looked for next. The rows are written by whoever follows the log and nobody else.
    """

    position = models.BigIntegerField(unique=True, help_text="Of the event.")
    at = models.DateTimeField()
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="+", db_index=False)
    customer_id = models.BigIntegerField()
    job_type_id = models.BigIntegerField(default=0, help_text="0: none.")
    number = models.PositiveSmallIntegerField(null=True, help_text="Of its execution.")
    error = models.ForeignKey(Error, null=True, on_delete=models.PROTECT, related_name="+", **UNBOUND)
    exit_code = models.IntegerField(null=True)
    # A cluster goes when all of its failures are past their days.
    cluster = models.ForeignKey(FailureCluster, null=True, on_delete=models.DO_NOTHING, related_name="+", **UNBOUND)
    due_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "id"], name="failure_waiting", condition=Q(cluster__isnull=True)),
            models.Index(fields=["job", "position"], name="failure_of_job"),
        ]

    def __str__(self) -> str:
        return f"failure of job {self.job_id} at {self.position}"


class Span(models.TextChoices):
    """Over what time a FailureCount adds up."""

    HOUR = "hour"
    DAY = "day"


class FailureCount(models.Model):
    """How many failures of a cluster there were in an hour, and in a day of each customer and job type.

    `begun_at` in UTC. Of hours customer and job type are 0; a job type of 0 is none.
    """

    cluster = models.ForeignKey(FailureCluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    span = models.CharField(max_length=4, choices=Span.choices)
    begun_at = models.DateTimeField()
    customer_id = models.BigIntegerField(default=0)
    job_type_id = models.BigIntegerField(default=0)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "span", "begun_at", "customer_id", "job_type_id"], name="failure_count_once"
            ),
        ]
        indexes = [models.Index(fields=["span", "begun_at"], name="failure_count_by_age")]

    def __str__(self) -> str:
        return f"{self.number} in the {self.span} of {self.begun_at}"
