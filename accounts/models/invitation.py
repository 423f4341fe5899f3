"""Who may sign up where not everybody may."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models.people import User


class Invitation(models.Model):
    """What lets somebody sign up, so often: only the digest of its token is kept.

    With an `email` it is for that address alone. `instance_limit` (None: as for everybody) and `allowed_features` are
    what the new user begins with.
    """

    name = models.CharField(max_length=128)
    note = models.CharField(max_length=255, blank=True)
    prefix = models.CharField(max_length=12, help_text="How the token begins, to tell it from others.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    email = models.EmailField(
        null=True, blank=True, help_text="Whom it is for, as addresses are compared; else anybody."
    )
    uses_allowed = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0, editable=False)
    instance_limit = models.PositiveIntegerField(null=True, blank=True)
    allowed_features: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["email"], name="invitation_of_email")]
        constraints = [
            models.CheckConstraint(condition=models.Q(uses_allowed__gte=1), name="invitation_has_uses"),
            models.CheckConstraint(
                condition=models.Q(uses__lte=models.F("uses_allowed")), name="invitation_not_used_too_often"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
