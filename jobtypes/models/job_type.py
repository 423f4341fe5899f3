"""What can be run: Seed job types by name and version, and every revision they have had."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from controlplane.core.beginnings import BeginningIndex


class JobType(models.Model):
    """A version of a Seed job type, as it is now. Written by jobtypes.services only.

    `title` and `description` are the manifest's. `version_key` sorts as SemVer does. `configuration` holds
    no secret setting. `max_scheduled` null: no cap. `unmet_resources` names what no place has of what its
    jobs need; the scheduler keeps it.
    """

    name = models.CharField(max_length=128)
    version = models.CharField(max_length=128)
    version_key = models.CharField(max_length=512, editable=False)
    title = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    icon_code = models.CharField(max_length=20, null=True, blank=True)
    docker_image = models.CharField(max_length=1024, blank=True)
    manifest: models.JSONField[Any, Any] = models.JSONField()
    configuration: models.JSONField[Any, Any] = models.JSONField(default=dict)
    revision_num = models.PositiveIntegerField(default=1)
    is_published = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_paused = models.BooleanField(default=False)
    is_system = models.BooleanField(default=False)
    max_scheduled = models.PositiveIntegerField(null=True)
    max_tries = models.PositiveSmallIntegerField(default=3)
    unmet_resources = models.CharField(max_length=250, null=True)
    special_resources = models.CharField(
        max_length=250, blank=True, help_text="What its manifest asks for that no place offers."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deprecated_at = models.DateTimeField(null=True, editable=False)
    paused_at = models.DateTimeField(null=True, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="job_type_once"),
            models.CheckConstraint(
                condition=Q(is_active=True, deprecated_at__isnull=True)
                | Q(is_active=False, deprecated_at__isnull=False),
                name="job_type_deprecated_when_inactive",
            ),
            models.CheckConstraint(
                condition=Q(is_paused=False, paused_at__isnull=True) | Q(is_paused=True, paused_at__isnull=False),
                name="job_type_paused_at_when_paused",
            ),
        ]
        indexes = [
            models.Index(fields=["name", "version_key", "id"], name="job_type_by_version"),
            models.Index(fields=["modified_at", "id"], name="job_type_by_change"),
            BeginningIndex(Upper("name"), name="job_type_by_beginning"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class JobTypeRevision(models.Model):
    """The manifest and image of a job type as they were from one edit to the next. Never edited, never deleted."""

    job_type = models.ForeignKey(JobType, on_delete=models.CASCADE, related_name="revisions")
    revision_num = models.PositiveIntegerField()
    manifest: models.JSONField[Any, Any] = models.JSONField()
    docker_image = models.CharField(max_length=1024, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job_type", "revision_num"], name="revision_once")]

    def __str__(self) -> str:
        return f"{self.job_type_id}/{self.revision_num}"


class JobTypeTag(models.Model):
    """A tag of a job type's present manifest, for searches."""

    job_type = models.ForeignKey(JobType, on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job_type", "tag"], name="job_type_tag_once")]

    def __str__(self) -> str:
        return self.tag


class SecretSetting(models.Model):
    """The value of a setting that the manifest calls secret, encrypted. It goes to executions, and nowhere else."""

    job_type = models.ForeignKey(JobType, on_delete=models.CASCADE, related_name="secret_settings")
    name = models.CharField(max_length=255)
    value = models.TextField(editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job_type", "name"], name="secret_setting_once")]

    def __str__(self) -> str:
        return self.name
