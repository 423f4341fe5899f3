"""Named ways to fail: the control plane's own, those of a job type's manifest, and those that staff name."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from controlplane.core.beginnings import BeginningIndex


class Category(models.TextChoices):
    """Whose fault an error is."""

    SYSTEM = "SYSTEM"
    ALGORITHM = "ALGORITHM"
    DATA = "DATA"


class Error(models.Model):
    """A named way to fail. `should_be_retried` gives another try while the job's max_tries last.

    An error of a manifest belongs to all versions of the job type of that name; every other one to none.
    """

    job_type_name = models.CharField(max_length=128, blank=True, editable=False)
    name = models.CharField(max_length=64)
    title = models.CharField(max_length=128)
    description = models.TextField(blank=True)
    category = models.CharField(max_length=16, choices=Category.choices)
    should_be_retried = models.BooleanField(default=False)
    is_builtin = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job_type_name", "name"], name="error_once")]
        indexes = [BeginningIndex(Upper("name"), name="error_by_beginning")]

    def __str__(self) -> str:
        return f"{self.job_type_name}: {self.name}" if self.job_type_name else self.name

    @property
    def code(self) -> str:
        """What a job's `reason` calls it: EXIT_CODE of exit-code."""
        return self.name.upper().replace("-", "_")
