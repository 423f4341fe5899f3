"""What the scheduler decides with: places, lanes, gates, holds. Jobs themselves are in jobs.models.job."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils import timezone

from accounts.models import Customer, User
from jobtypes.models import JobType


class RunsFor(models.TextChoices):
    """Whose jobs a place may run: everyone's only where jobs are isolated from us and from each other."""

    EVERYONE = "everyone"
    STAFF = "staff", "admins and operators"
    NOBODY = "nobody"


class Place(models.Model):
    """Somewhere work runs: a region of a cloud, or this machine (cloud local). One claim at a time works on it.

    What it can hold is what its provider last said. For cloud local the `manage.py work` of that
    machine keeps the row fresh, for other clouds any that is set up for them; `seen_at` tells when one last did.
    `failure` is what the cloud's calls fail with now, in its words, `failing_since` since when. One of our processes
    calls a cloud at a time: that with the `caller` token, until `called_until`.
    """

    cloud = models.CharField(max_length=16)
    region = models.CharField(max_length=64)
    vcpus_milli = models.PositiveIntegerField(default=0)
    memory_mib = models.PositiveIntegerField(default=0)
    disk_free_mib = models.PositiveBigIntegerField(null=True)
    disk_floor_mib = models.PositiveBigIntegerField(default=0)
    runs_for = models.CharField(max_length=16, choices=RunsFor.choices, default=RunsFor.NOBODY)
    seen_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True)
    caller = models.UUIDField(null=True, editable=False)
    called_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cloud", "region"], name="place_once")]

    def __str__(self) -> str:
        return f"{self.cloud}/{self.region}"

    @property
    def is_cloud(self) -> bool:
        """Not a machine of ours."""
        return self.cloud != "local"


class Lane(models.Model):
    """All jobs that every gate treats alike; a claim looks at the head of each lane, never at the queue.

    `waiting`: there may be queued jobs in it. `held`: a hold covers it. Both are hints that the sweep
    makes true again; a lane is claimable when it is waiting and not held. `on_hold`: the lane of jobs
    that are held one by one, beside the lane of those that are not. Lanes are never deleted, so their
    ids may be remembered.
    """

    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="+")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    queue = models.CharField(max_length=64)
    job_type = models.ForeignKey(JobType, null=True, on_delete=models.PROTECT, related_name="+")
    vcpus_milli = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField(help_text="The jobs' memory, rounded up to a power of two.")
    on_hold = models.BooleanField(default=False)
    waiting = models.BooleanField(default=False)
    held = models.BooleanField(default=False)
    blocked_since = models.DateTimeField(null=True, help_text="Since when its head has not fitted into the place.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["place", "customer", "owner", "queue", "vcpus_milli", "memory_mib", "on_hold"],
                condition=models.Q(job_type__isnull=True),
                name="lane_once",
            ),
            models.UniqueConstraint(
                fields=["job_type", "place", "customer", "owner", "queue", "vcpus_milli", "memory_mib", "on_hold"],
                condition=models.Q(job_type__isnull=False),
                name="lane_of_job_type_once",
            ),
        ]
        indexes = [
            models.Index(fields=["place", "id"], name="lane_claimable", condition=models.Q(waiting=True, held=False)),
        ]

    def __str__(self) -> str:
        return f"lane {self.pk}"


class Scope(models.TextChoices):
    """What a hold or a gate covers. `scope_id` is the row's id; for a queue it is "<place id>:<queue>".

    Only a hold covers a single job.
    """

    ALL = "all"
    PLACE = "place"
    CUSTOMER = "customer"
    OWNER = "owner"
    QUEUE = "queue"
    JOB_TYPE = "job_type"
    JOB = "job"


# A job by itself has no cap.
CAPPED_SCOPES: Final = [choice for choice in Scope.choices if choice[0] != Scope.JOB]


class Hold(models.Model):
    """Nothing that it covers is claimed while it stands. Set and lifted by jobs.services only."""

    scope = models.CharField(max_length=16, choices=Scope.choices)
    scope_id = models.CharField(max_length=96, blank=True)
    code = models.CharField(max_length=32)
    hint = models.CharField(max_length=255, blank=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "scope_id", "code"], name="hold_once")]

    def __str__(self) -> str:
        return f"{self.code} on {self.scope} {self.scope_id}".strip()


class Gate(models.Model):
    """A finite cap in a scope. Claims that may touch it lock its row first.

    `max_jobs` and `max_vcpus_milli` bound what is active at once, the rest waits; `max_queued_jobs` bounds
    what waits, further submits are refused.
    """

    scope = models.CharField(max_length=16, choices=Scope.choices)
    scope_id = models.CharField(max_length=96, blank=True)
    max_jobs = models.PositiveIntegerField(null=True)
    max_vcpus_milli = models.PositiveIntegerField(null=True)
    max_queued_jobs = models.PositiveIntegerField(null=True)
    hint = models.CharField(max_length=255, blank=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "quota"
        constraints = [models.UniqueConstraint(fields=["scope", "scope_id"], name="gate_once")]

    def __str__(self) -> str:
        return f"cap on {self.scope} {self.scope_id}".strip()


# What money may be bounded for: what a claim can add up from the jobs themselves.
SPENT_SCOPES: Final = (Scope.ALL, Scope.CUSTOMER, Scope.JOB_TYPE)


class SpendGate(models.Model):
    """Money for a scope: what is spent, and reserved for what runs, never exceeds `limit_nano` by a claim.

    In billionths of USD. Whoever owns the budget (`key` is its name there) writes the rows, by
    jobs.services.spending. Claims that may touch it lock its row first; what is reserved stands with the executions.
    """

    key = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=16, choices=[choice for choice in Scope.choices if choice[0] in SPENT_SCOPES])
    scope_id = models.CharField(max_length=96, blank=True)
    limit_nano = models.BigIntegerField()
    spent_nano = models.BigIntegerField(default=0)
    hint = models.CharField(max_length=255, blank=True)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(scope__in=SPENT_SCOPES), name="spend_gate_scope"),
            models.CheckConstraint(
                condition=models.Q(limit_nano__gte=0, spent_nano__gte=0), name="spend_gate_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"budget {self.key} of {self.scope} {self.scope_id}".strip()


class Beat(models.Model):
    """When a piece of periodic work is due next. Whoever moves `due_at` on rings it; see controlplane.schedules."""

    name = models.CharField(max_length=128, primary_key=True)
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
