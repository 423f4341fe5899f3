"""What people say of us."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.people import Customer, User


class FeedbackType(models.TextChoices):
    """What kind of feedback it is."""

    GOOD = "good"
    BAD = "bad"
    BUG = "bug"
    FEATURE_REQUEST = "feature_request"
    GENERAL_FEEDBACK = "general_feedback"


class Feedback(models.Model):
    """What a user said, and since when the team's channel has it. Who posts it holds it until `held_until`."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+")
    feedback_type = models.CharField(max_length=32, choices=FeedbackType.choices)
    message = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    posted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "feedback"
        constraints = [
            models.CheckConstraint(condition=Q(feedback_type__in=FeedbackType.values), name="feedback_type_known"),
        ]
        indexes = [
            models.Index(fields=["id"], name="feedback_unposted", condition=Q(posted_at__isnull=True)),
            models.Index(fields=["feedback_type", "-id"], name="feedback_of_type"),
        ]

    def __str__(self) -> str:
        return f"{self.feedback_type} by {self.user_id}"
