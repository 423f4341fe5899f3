"""What was used: records of at most an hour, and their sums by day."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User

# A ledger outlives what it speaks of, and a look-up per row and reference would cost more than the row.
_LOOSE: Final[dict[str, Any]] = {
    "null": True,
    "on_delete": models.DO_NOTHING,
    "db_index": False,
    "db_constraint": False,
    "related_name": "+",
}


# Who follows the event log to meter what ends, and what is told of a job there.
METER: Final = "meter"
# What is added up of records, by day and on bills.
SUMS: Final = ("records", "run_ms", "vcpu_ms", "gib_ms", "peer_ms", "free_ms", "cost_nano")
ENDS_BY: Final = "job.moved"


class UsageKind(models.TextChoices):
    """Of what something was used: a try of a job, a running container, peers connected to one, or staff's word."""

    EXECUTION = "execution"
    CONTAINER = "container"
    PEERS = "peers"
    CORRECTION = "correction"


class UsageRecord(models.Model):
    """What one thing used between two moments of one hour (UTC), and what that costs. Never edited, never deleted.

    `source_id` is the execution's or the container's. Where what was metered turns out to have been something else,
    another record with the next `number` says the difference, which may be less than nothing. All times of use are
    milliseconds; memory in GiB-milliseconds. `rate` is what an hour cost in USD, by `offer`; `cost_nano` billionths of
    a dollar. Of peers' time `free_ms` cost nothing. `bill_month` is the month on whose bill it is: its own, unless
    that was closed before the record was made.
    """

    kind = models.CharField(max_length=12, choices=UsageKind.choices)
    source_id = models.BigIntegerField()
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    number = models.PositiveIntegerField(default=0, db_default=0)
    customer = models.ForeignKey(Customer, **_LOOSE)
    owner = models.ForeignKey(User, **_LOOSE)
    shape = models.CharField(max_length=16, blank=True)
    cloud = models.CharField(max_length=16, blank=True)
    region = models.CharField(max_length=64, blank=True)
    job_id = models.BigIntegerField(null=True)
    root_id = models.BigIntegerField(null=True, help_text="The job itself, or the MapReduce job whose task it is.")
    job_type_id = models.BigIntegerField(null=True)
    cluster_id = models.BigIntegerField(null=True)
    run_ms = models.BigIntegerField(default=0)
    vcpu_ms = models.BigIntegerField(default=0)
    gib_ms = models.BigIntegerField(default=0)
    peer_ms = models.BigIntegerField(default=0, db_default=0)
    free_ms = models.BigIntegerField(default=0, db_default=0)
    offer = models.CharField(max_length=160, blank=True)
    rate = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cost_nano = models.BigIntegerField(default=0)
    bill_month = models.DateField()
    note = models.CharField(max_length=255, blank=True, db_default="")
    entered_by = models.ForeignKey(User, **_LOOSE)
    corrects_id = models.BigIntegerField(null=True, help_text="The record of which it is a correction.")
    metered_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = [("correct_usage", "Can correct what was metered")]
        constraints = [
            models.UniqueConstraint(fields=["kind", "source_id", "begun_at", "number"], name="usage_metered_once"),
            models.CheckConstraint(condition=Q(kind__in=UsageKind.values), name="usage_kind_known"),
        ]
        indexes = [
            models.Index(fields=["root_id"], name="usage_of_job", condition=Q(root_id__isnull=False)),
            models.Index(fields=["customer", "id"], name="usage_of_customer"),
            models.Index(fields=["bill_month", "customer", "id"], name="usage_on_bill"),
            models.Index(fields=["cloud", "region", "begun_at"], name="usage_there"),
            models.Index(fields=["bill_month", "-id"], name="usage_of_month"),
            models.Index(fields=["corrects_id"], name="usage_corrects", condition=Q(corrects_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_id} from {self.begun_at:%Y-%m-%d %H:%M:%S}"


class UsageDay(models.Model):
    """The sums of all records that have these in common; kept in the transaction that makes a record.

    What a record does not have is 0 here, so that there is one row of each.
    """

    day = models.DateField()
    bill_month = models.DateField()
    customer_id = models.BigIntegerField()
    owner_id = models.BigIntegerField()
    kind = models.CharField(max_length=12, choices=UsageKind.choices)
    shape = models.CharField(max_length=16, blank=True)
    cloud = models.CharField(max_length=16, blank=True)
    region = models.CharField(max_length=64, blank=True)
    job_type_id = models.BigIntegerField()
    cluster_id = models.BigIntegerField()
    records = models.BigIntegerField()
    run_ms = models.BigIntegerField()
    vcpu_ms = models.BigIntegerField()
    gib_ms = models.BigIntegerField()
    peer_ms = models.BigIntegerField()
    free_ms = models.BigIntegerField()
    cost_nano = models.BigIntegerField()

    class Meta:
        verbose_name = "usage of a day"
        verbose_name_plural = "usage by day"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("customer_id", "day", "bill_month", "kind", "shape", "job_type_id", "cluster_id"),
                    *("cloud", "region", "owner_id"),
                ],
                name="usage_day_once",
            )
        ]
        indexes = [
            models.Index(fields=["day"], name="usage_by_day"),
            models.Index(fields=["bill_month", "customer_id"], name="usage_by_bill"),
            models.Index(fields=["job_type_id", "day"], name="usage_of_type", condition=~Q(job_type_id=0)),
            models.Index(fields=["cluster_id", "day"], name="usage_of_cluster", condition=~Q(cluster_id=0)),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.kind} of {self.customer_id}"


class MeteredContainer(models.Model):
    """A container that is up: as what, since when, and up to when that is metered."""

    container_id = models.BigIntegerField(primary_key=True)
    machine_type = models.CharField(max_length=8)
    location = models.CharField(max_length=16)
    up_since = models.DateTimeField()
    metered_to = models.DateTimeField()

    def __str__(self) -> str:
        return f"container {self.container_id} since {self.up_since:%Y-%m-%d %H:%M:%S}"


class ClosedMonth(models.Model):
    """A month whose bills nothing is put on any more; all before it are closed, too.

    `billed_at`: when all bills up to it were final.
    """

    month = models.DateField(primary_key=True)
    closed_at = models.DateTimeField(default=timezone.now)
    billed_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
