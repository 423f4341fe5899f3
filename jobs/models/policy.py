"""What jobs do after an execution that came to no good end, and where they go then."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import User
from jobtypes.models import JobType


class Policy(models.Model):
    """A policy as jobs.policy reads it. Never edited: jobs that ask for the same share it, found by its digest."""

    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the document.")
    document: models.JSONField[Any, Any] = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"policy {self.digest[:8]}"


class JobTypePolicy(models.Model):
    """The policy of new jobs of a job type that ask for none of their own."""

    job_type = models.OneToOneField(JobType, on_delete=models.CASCADE, primary_key=True, related_name="+")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.policy} of {self.job_type_id}"
