"""What Stripe's meter is told: once for each customer and day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer


class MeterEvent(models.Model):
    """How many cents a day adds to a bill: decided before Stripe is told, and never anything else afterwards.

    What is metered of that day later is in the value of a later one; the last day's makes the sum the bill's amount.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    bill_month = models.DateField()
    day = models.DateField()
    value = models.BigIntegerField(help_text="In cents.")
    identifier = models.CharField(max_length=100, unique=True)
    decided_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    first_try_at = models.DateTimeField(null=True, blank=True, help_text="From here on it may be at Stripe.")
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField("sent again at", default=timezone.now)
    error = models.TextField(blank=True, help_text="Why it could not be sent the last time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bill_month", "customer", "day"], name="meter_event_once"),
            models.CheckConstraint(condition=Q(value__gt=0), name="meter_event_positive"),
        ]
        indexes = [models.Index(fields=["next_at"], name="meter_event_to_send", condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return self.identifier
