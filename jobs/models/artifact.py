"""Programs of MapReduce jobs, as they were uploaded."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Customer, User
from controlplane.core.beginnings import BeginningIndex
from controlplane.core.ids import uuid7


class Protocol(models.TextChoices):
    """How a program is spoken to: one process for each line and key, or for each split and partition."""

    APOLLO = "apollo"
    STREAMING = "streaming"


class Artifact(models.Model):
    """A program by its name: one among those of a customer, or of the staff (`customer` null). Deleted ones keep a row.

    `version` is the number of the present version, `size` (bytes) and `sha256` are that one's.
    """

    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=255)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    protocol = models.CharField(max_length=16, choices=Protocol.choices, default=Protocol.APOLLO)
    version = models.PositiveIntegerField(default=1)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "name"],
                condition=Q(deleted_at__isnull=True, customer__isnull=False),
                name="artifact_of_customer_once",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(deleted_at__isnull=True, customer__isnull=True),
                name="artifact_of_staff_once",
            ),
        ]
        indexes = [
            models.Index(fields=["modified_at", "id"], name="artifact_by_change"),
            BeginningIndex(Upper("name"), name="artifact_by_beginning"),
        ]

    def __str__(self) -> str:
        return self.name


class ArtifactVersion(models.Model):
    """The bytes of an artifact from one upload to the next. Never edited. `uuid` names the object in storage."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "number"], name="artifact_version_once")]

    def __str__(self) -> str:
        return f"{self.artifact_id}/{self.number}"
