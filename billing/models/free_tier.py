"""What was told a customer of what is free, and when it was used up."""

from __future__ import annotations

from django.db import models

from accounts.models import Customer


class FreeTierMonth(models.Model):
    """A month in which a customer came near to what is free: `warned` is the highest share in percent that was told.

    Without payment details the customer's containers are stopped some time after `surpassed_at`.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    month = models.DateField()
    warned = models.PositiveSmallIntegerField(default=0)
    surpassed_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "month"], name="free_tier_month_once")]

    def __str__(self) -> str:
        return f"{self.customer} {self.month:%Y-%m}"
