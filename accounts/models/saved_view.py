"""Lists of the admin as staff want to see them again."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models.people import User


class SavedView(models.Model):
    """A list with its filters and search, under a name. `list_name` is how the admin names the list: jobs_job.

    It is its user's own, or all of the staff's (`is_shared`).
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    list_name = models.CharField(max_length=100)
    query = models.CharField(max_length=2000, blank=True, help_text="As it stands in the address, behind the ?.")
    name = models.CharField(max_length=100)
    is_shared = models.BooleanField("shared", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "list_name", "name"], name="saved_view_once"),
        ]
        indexes = [
            models.Index(fields=["list_name"], name="saved_view_shared", condition=models.Q(is_shared=True)),
        ]

    def __str__(self) -> str:
        return self.name
