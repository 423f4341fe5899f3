"""Who pays, as Stripe knows them, and what Stripe told us."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import Customer, User


class PaymentDetails(models.Model):
    """The customer at Stripe who pays for one of ours. What it says beside `stripe_id` is a copy: Stripe's own counts.

    Only `owner`, who made it, sees and changes it. All that is told is null before it was said for the first time.
    """

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="payment_details")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    stripe_id = models.CharField(max_length=255, unique=True)
    # As long as Stripe has them, which people also write to on its own pages.
    name = models.TextField(null=True, blank=True)
    email = models.TextField(null=True, blank=True)
    phone = models.TextField(null=True, blank=True)
    tax_id = models.TextField(null=True, blank=True)
    line1 = models.TextField(null=True, blank=True)
    line2 = models.TextField(null=True, blank=True)
    city = models.TextField(null=True, blank=True)
    state = models.TextField(null=True, blank=True)
    postal_code = models.TextField(null=True, blank=True)
    country = models.TextField(null=True, blank=True)
    version = models.PositiveIntegerField(default=0, editable=False, help_text="How often the copy was changed.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "payment details"

    def __str__(self) -> str:
        return f"{self.customer}: {self.stripe_id}"


class RegistrationAttempt(models.Model):
    """That Stripe was asked for a customer, or is about to be: noted before the call.

    Who finds one without payment details knows that there may be a customer at Stripe already. `generation` counts
    those that were deleted there: the next one is another.
    """

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="+")
    generation = models.PositiveIntegerField(default=0)
    attempted_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.customer}: {self.generation}"


class StripeEvent(models.Model):
    """An event that Stripe sent, once however often it comes. What it says is never believed: it only wakes us."""

    stripe_id = models.CharField("event", max_length=255, unique=True)
    type = models.CharField(max_length=255)
    created_at = models.DateTimeField(help_text="By Stripe's clock.")
    received_at = models.DateTimeField(default=timezone.now, editable=False)
    body: models.JSONField[Any, Any] = models.JSONField()
    handled_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField("tried again at", default=timezone.now)
    error = models.TextField(blank=True, help_text="Why it could not be handled the last time.")

    class Meta:
        indexes = [
            models.Index(fields=["next_at"], name="stripe_event_to_do", condition=models.Q(handled_at=None)),
            models.Index(fields=["received_at"], name="stripe_event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"
