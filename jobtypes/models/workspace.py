"""Where files lie."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from controlplane.core.beginnings import BeginningIndex


class Workspace(models.Model):
    """A host folder, an S3 bucket or an Azure container. `broker` says which, in the form of core.storage.

    `broker` is encrypted, as there may be credentials in it.
    """

    name = models.CharField(max_length=50, unique=True)
    title = models.CharField(max_length=128)
    description = models.CharField(max_length=500, blank=True)
    base_url = models.URLField(max_length=500, blank=True, help_text="Where a web server of yours shows its files.")
    broker = models.TextField(editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deprecated_at = models.DateTimeField(null=True, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_active=True, deprecated_at__isnull=True)
                | models.Q(is_active=False, deprecated_at__isnull=False),
                name="workspace_deprecated_when_inactive",
            ),
        ]
        indexes = [BeginningIndex(Upper("name"), name="workspace_by_beginning")]

    def __str__(self) -> str:
        return self.name
