"""How a customer stands with what is free: written by billing, read by whoever may refuse something for it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models.people import Customer


class Standing(models.Model):
    """Peer-seconds of media that a customer has used in this billing period, and how many of them are free.

    Without an `allowance` of the customer's own, settings.FREE_TIER_JELLYSECONDS are. No row: nothing was used.
    """

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, related_name="standing")
    used = models.PositiveBigIntegerField(default=0)
    allowance = models.PositiveBigIntegerField(null=True, blank=True)
    has_payment_details = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.customer}: {self.used} of {self.free}"

    @property
    def free(self) -> int:
        return settings.FREE_TIER_JELLYSECONDS if self.allowance is None else self.allowance

    @property
    def is_surpassed(self) -> bool:
        return self.used > self.free
