"""Requests that may come twice."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models.people import User


class IdempotencyKey(models.Model):
    """A key a caller gave with a request, and what the request made.

    Written in the transaction of the work itself. What is kept is the status and the made objects'
    ids, never the answer's text: the answer is built again from them.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    objects_made: models.JSONField[Any, Any] = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_by_age")]

    def __str__(self) -> str:
        return self.key
