"""Files in workspaces: what jobs take in and what they give."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User
from controlplane.core.ids import uuid7
from jobs.models.job import Execution, Job
from jobtypes.models import Workspace


class FileType(models.TextChoices):
    """Where a file comes from: from outside, or from a job."""

    SOURCE = "SOURCE"
    PRODUCT = "PRODUCT"


class File(models.Model):
    """A file in a workspace. `path` is its place there; `sha256` is unknown only of what was registered unread.

    `meta_data` are the properties of its sidecar, `geometry` a GeoJSON geometry. Times and names called
    `data_…` and `source_…` are of what the file is about. A deleted file keeps its row.
    """

    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", db_index=False)
    path = models.CharField(max_length=1024)
    name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=255, blank=True)
    file_type = models.CharField(max_length=8, choices=FileType.choices, default=FileType.SOURCE)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True)
    owner = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="files", db_index=False)
    execution = models.ForeignKey(Execution, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    job_output = models.CharField(max_length=255, blank=True)
    meta_data: models.JSONField[Any, Any] = models.JSONField(default=dict)
    geometry: models.JSONField[Any, Any] = models.JSONField(null=True)
    data_started_at = models.DateTimeField(null=True)
    data_ended_at = models.DateTimeField(null=True)
    source_started_at = models.DateTimeField(null=True)
    source_ended_at = models.DateTimeField(null=True)
    source_sensor_class = models.CharField(max_length=128, blank=True)
    source_sensor = models.CharField(max_length=128, blank=True)
    source_collection = models.CharField(max_length=128, blank=True)
    source_task = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "path"], condition=Q(deleted_at__isnull=True), name="file_path_once"
            ),
        ]
        indexes = [
            models.Index(fields=["modified_at", "id"], name="file_by_change"),
            models.Index(fields=["customer", "modified_at", "id"], name="file_of_customer_by_change"),
            models.Index(fields=["name", "id"], name="file_by_name"),
            # By its beginning: that takes an operator class on PostgreSQL, which orders nothing for the one above.
            models.Index(
                fields=["name", "id"], name="file_by_name_start", opclasses=["varchar_pattern_ops", "int8_ops"]
            ),
            # The newest of a workspace, of a kind, and of what was deleted.
            models.Index(fields=["workspace", "id"], name="file_of_workspace"),
            models.Index(fields=["file_type", "id"], name="file_of_type"),
            models.Index(fields=["id"], name="file_deleted", condition=Q(deleted_at__isnull=False)),
            models.Index(fields=["job"], name="file_of_job", condition=Q(job__isnull=False)),
            models.Index(fields=["execution"], name="file_of_execution", condition=Q(execution__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name
