"""Budgets: how much may be spent."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User
from jobtypes.models import JobType


class Period(models.TextChoices):
    """Over what a budget is counted: each month of UTC anew, or from its beginning on."""

    MONTH = "month"
    ALL = "all", "from its beginning on"


class Budget(models.Model):
    """How much may be spent on a customer's work, or on jobs of a job type, in billionths of a dollar.

    With `is_hard` nothing more is started that might go beyond it, and jobs wait; else it only warns. `warned` is the
    highest of the shares in percent that was told of in the period which began at `counted_from`.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets", db_index=False
    )
    job_type = models.ForeignKey(
        JobType, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.MONTH)
    limit_nano = models.BigIntegerField()
    is_hard = models.BooleanField("hard", default=True, help_text="Nothing more starts that might go beyond it.")
    begins = models.DateField(default=timezone.localdate)
    counted_from = models.DateField(null=True, editable=False)
    spent_nano = models.BigIntegerField(default=0, editable=False)
    warned = models.PositiveSmallIntegerField(default=0, editable=False)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(customer__isnull=False, job_type__isnull=True)
                | Q(customer__isnull=True, job_type__isnull=False),
                name="budget_of_one_thing",
            ),
            models.CheckConstraint(condition=Q(limit_nano__gte=0), name="budget_not_negative"),
            models.UniqueConstraint(
                fields=["customer", "period"],
                condition=Q(customer__isnull=False, archived_at__isnull=True),
                name="budget_of_customer_once",
            ),
            models.UniqueConstraint(
                fields=["job_type", "period"],
                condition=Q(job_type__isnull=False, archived_at__isnull=True),
                name="budget_of_type_once",
            ),
        ]

    def __str__(self) -> str:
        of = self.customer if self.customer_id else self.job_type
        return f"{of}, {self.get_period_display()}"

    @property
    def share(self) -> int:
        """What is spent, in percent, rounded down; of no money at all everything is."""
        return self.spent_nano * 100 // self.limit_nano if self.limit_nano else 100

    @property
    def is_used_up(self) -> bool:
        return self.spent_nano >= self.limit_nano
