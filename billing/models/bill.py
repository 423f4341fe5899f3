"""Bills: what a customer owes for a month."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer
from billing import states


class BillStatus(models.TextChoices):
    DRAFT = states.DRAFT
    OPEN = states.OPEN
    PAID = states.PAID
    VOID = states.VOID
    UNCOLLECTIBLE = states.UNCOLLECTIBLE


class LineKind(models.TextChoices):
    """For what a line is: jobs of a shape, of a job type; containers of a cluster, their peers; staff's word."""

    JOBS = "jobs"
    JOB_TYPE = "job_type", "job type"
    CONTAINERS = "containers"
    PEERS = "peers"
    CORRECTION = "correction"


class Bill(models.Model):
    """What a customer owes for what was used in a month, in cents; `exact_nano` before it was rounded, in billionths.

    A draft is drawn up anew as things are metered. Closing the month makes it `open`, and final: what is metered later
    goes onto a later bill. Peers' time is told in milliseconds.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="bills", db_index=False)
    month = models.DateField(help_text="Its first day.")
    status = models.CharField(max_length=16, choices=BillStatus.choices, default=BillStatus.DRAFT)
    amount = models.BigIntegerField(default=0, help_text="In cents.")
    exact_nano = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, default="USD")
    peer_ms = models.BigIntegerField(default=0)
    free_ms = models.BigIntegerField(default=0)
    drawn_up_at = models.DateTimeField(default=timezone.now)
    opened_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When all of it was at Stripe.")
    sending_tries = models.PositiveIntegerField(default=0, editable=False)
    sending_next_at = models.DateTimeField("sent again at", default=timezone.now)
    sending_error = models.TextField(blank=True, help_text="Why it could not be sent the last time.")
    metered_to = models.DateField(
        null=True,
        blank=True,
        help_text="The last day whose value for Stripe's meter is decided; none: sent as invoice.",
    )
    stripe_invoice = models.CharField(max_length=255, blank=True)
    invoice_url = models.URLField(max_length=2048, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "month"], name="bill_once"),
            models.CheckConstraint(condition=Q(status__in=states.BILL_STATES), name="bill_status_known"),
            models.CheckConstraint(
                condition=Q(status=states.DRAFT, opened_at__isnull=True)
                | (~Q(status=states.DRAFT) & Q(opened_at__isnull=False)),
                name="bill_opened_when_final",
            ),
        ]
        indexes = [
            models.Index(fields=["month", "status", "id"], name="bill_of_month"),
            models.Index(fields=["status", "-id"], name="bill_in_state"),
            models.Index(fields=["stripe_invoice"], name="bill_of_invoice", condition=~Q(stripe_invoice="")),
            models.Index(
                fields=["sending_next_at"],
                name="bill_to_send",
                condition=Q(status=states.OPEN, sent_at__isnull=True, amount__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer} {self.month:%Y-%m}"


class BillLine(models.Model):
    """One position of a bill: `amount` in cents is what all positions come to together, when each is rounded.

    `quantity` is in milliseconds of what the kind counts: runs of jobs and containers, peers' time.
    """

    bill = models.ForeignKey(Bill, on_delete=models.CASCADE, related_name="lines", db_index=False)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=LineKind.choices)
    label = models.CharField(max_length=255)
    shape = models.CharField(max_length=16, blank=True)
    job_type_id = models.BigIntegerField(null=True)
    cluster_id = models.BigIntegerField(null=True)
    quantity_ms = models.BigIntegerField()
    free_ms = models.BigIntegerField(default=0)
    vcpu_ms = models.BigIntegerField(default=0)
    gib_ms = models.BigIntegerField(default=0)
    records = models.BigIntegerField(default=0)
    exact_nano = models.BigIntegerField()
    amount = models.BigIntegerField()
    stripe_item = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bill", "position"], name="bill_line_once")]

    def __str__(self) -> str:
        return self.label
