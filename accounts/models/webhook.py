"""Who is told by HTTP of what happens, and what came of telling them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from accounts import states
from accounts.models.people import User
from controlplane.core.beginnings import BeginningIndex


class Form(models.TextChoices):
    """How a webhook speaks."""

    STANDARD = "standard"  # Standard Webhooks: signed, the event as /v6/events/ tells it
    FISHJAM = "fishjam"  # Fishjam Cloud: the payload that an event carries for it, and no event without one


class Webhook(models.Model):
    """An address that is told of the events that its owner may read.

    No `kinds` means all of them, no subject any. `secrets` holds the signing secret and the authorization header,
    encrypted. How the address does as a whole is here, too: from a failure on it is called once at a time, after
    longer and longer pauses (`next_call_at`), until it answers; when it has not for a day it is disabled.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=255)
    url = models.CharField(max_length=2048)
    form = models.CharField(max_length=16, choices=Form.choices, default=Form.STANDARD)
    kinds: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    subject_kind = models.CharField(max_length=24, blank=True)
    subject_id = models.BigIntegerField(null=True, blank=True)
    secrets = models.TextField(blank=True, editable=False)
    is_enabled = models.BooleanField("enabled", default=True)
    disabled_because = models.CharField(max_length=255, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="One after the other, up to now.")
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    next_call_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(form__in=Form.values), name="webhook_form_known"),
        ]
        indexes = [BeginningIndex(Upper("name"), name="webhook_by_beginning")]

    def __str__(self) -> str:
        return self.name


class DeliveryStatus(models.TextChoices):
    """What became of a delivery."""

    PENDING = states.PENDING
    DELIVERED = states.DELIVERED
    FAILED = states.FAILED  # given up; it can be sent again


class WebhookDelivery(models.Model):
    """One event on its way to one webhook: made once, sent until the address takes it or a day is over.

    Who sends it holds it until `held_until`, so that one who dies loses nothing. `tries` is what came of each call:
    `at`, `status` or `error`, `took_ms`, and the beginning of the answer.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    position = models.BigIntegerField(help_text="The event's, and so the id under which it is sent, always the same.")
    kind = models.CharField(max_length=48)
    subject_kind = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    body = models.TextField(help_text="What is sent, byte for byte in UTF-8.")
    status = models.CharField(max_length=16, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(default=timezone.now, editable=False)
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    holder = models.UUIDField(null=True, blank=True, editable=False)
    first_sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    tries: models.JSONField[Any, Any] = models.JSONField(default=list, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["webhook", "position"], name="delivery_pending", condition=models.Q(status="PENDING")),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            models.Index(fields=["-id"], name="delivery_failed", condition=models.Q(status="FAILED")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "position"], name="delivery_once"),
            models.CheckConstraint(condition=models.Q(status__in=DeliveryStatus.values), name="delivery_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.webhook_id}"
