"""Where what has to be the same is not."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User


class DifferenceKind(models.TextChoices):
    """Between what: ours first, then the other side."""

    RECORDS = "records", "days and records"
    DAYS = "days", "bill and days"
    LINES = "lines", "bill and its lines"
    UNSENT = "unsent", "bill that is not at Stripe"
    INVOICE = "invoice", "invoice that Stripe does not have"
    AMOUNT = "amount", "amounts of bill and invoice"
    CURRENCY = "currency", "currencies of bill and invoice"
    STATUS = "status", "states of bill and invoice"
    ITEMS = "items", "lines and the invoice's items"
    METERED = "metered", "bill and what its days were sent as"
    METER = "meter", "what was sent and what Stripe's meter has"


class Difference(models.Model):
    """A difference that the comparison found, from when it was first seen on; open until it is gone or resolved."""

    kind = models.CharField(max_length=12, choices=DifferenceKind.choices)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    bill_month = models.DateField()
    ours = models.CharField(max_length=255)
    theirs = models.CharField(max_length=255)
    detail = models.TextField(blank=True)
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    note = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "customer", "bill_month"],
                name="difference_open_once",
                condition=Q(resolved_at=None, customer__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["kind", "bill_month"],
                name="difference_of_nobody_open_once",
                condition=Q(resolved_at=None, customer=None),
            ),
            models.CheckConstraint(condition=Q(kind__in=DifferenceKind.values), name="difference_kind_known"),
        ]
        indexes = [models.Index(fields=["bill_month", "customer"], name="difference_of_month")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.customer or 'nobody'} in {self.bill_month:%Y-%m}"
