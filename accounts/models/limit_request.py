"""Who asks for a higher limit."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import states
from accounts.models.people import User


class LimitRequestStatus(models.TextChoices):
    """What became of a request."""

    PENDING = states.PENDING
    APPROVED = states.APPROVED
    REJECTED = states.REJECTED


class LimitChangeRequest(models.Model):
    """A user's wish for more instances at a time, and what staff made of it. At most one of a user waits."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="limit_requests")
    limit_then = models.PositiveIntegerField(help_text="Their limit when they asked.")
    desired_limit = models.PositiveIntegerField()
    reason = models.CharField(max_length=1024, blank=True)
    status = models.CharField(max_length=16, choices=LimitRequestStatus.choices, default=LimitRequestStatus.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    note = models.CharField(max_length=1024, blank=True, help_text="What staff say of it; it is mailed to the user.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user"], name="limit_request_pending", condition=Q(status="PENDING")),
            models.CheckConstraint(condition=Q(status__in=LimitRequestStatus.values), name="limit_request_status"),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, status="PENDING")
                | (Q(decided_at__isnull=False) & ~Q(status="PENDING")),
                name="limit_request_decided",
            ),
        ]
        indexes = [models.Index(fields=["status", "-id"], name="limit_request_by_status")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.limit_then} to {self.desired_limit}"
