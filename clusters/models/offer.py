"""What places can run, and at what price."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Customer


class Capacity(models.TextChoices):
    """How firmly a machine is ours: until we give it back, until the cloud wants it back, or our own."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    LOCAL = "local"


class Measure(models.TextChoices):
    """What a price is of: a whole machine, or a unit (a vCPU, a GiB of memory) of which a job takes what it needs.

    Of long-running containers: an hour of one connected peer, or of a container of a machine type that runs.
    """

    MACHINE = "machine"
    UNIT = "unit"
    PEER = "peer"
    CONTAINER = "container"


FLEET: Final = "fleet"
PEER_OFFER: Final = "peer"
FLEET_MEASURES: Final = (Measure.PEER, Measure.CONTAINER)


class Offer(models.Model):
    """What can be had at a place: a type of machine, or a unit of a cloud that has no machines to choose from.

    Region "": every region of the cloud. CPU in thousandths of a vCPU, memory in MiB; a unit has one of both.
    What is not `available` is not chosen for anything new, and keeps its prices for what has run. What long-running
    containers are priced by is of the cloud FLEET and has no size: its region is a location ("": all of them), its name
    PEER_OFFER or a machine type.
    """

    cloud = models.CharField(max_length=16)
    region = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=64)
    capacity = models.CharField(max_length=16, choices=Capacity.choices)
    measure = models.CharField(max_length=16, choices=Measure.choices, default=Measure.MACHINE)
    vcpus_milli = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    gpus = models.PositiveIntegerField(default=0)
    available = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cloud", "region", "name", "capacity"], name="offer_once"),
            models.CheckConstraint(
                condition=Q(measure=Measure.MACHINE, vcpus_milli__gt=0, memory_mib__gt=0)
                | Q(measure=Measure.UNIT, vcpus_milli__gt=0, memory_mib=0, gpus=0)
                | Q(measure=Measure.UNIT, vcpus_milli=0, memory_mib__gt=0, gpus=0)
                | Q(measure__in=FLEET_MEASURES, vcpus_milli=0, memory_mib=0, gpus=0),
                name="offer_has_something",
            ),
        ]
        # The admin's list, newest first.
        indexes = [
            models.Index(fields=["cloud", "id"], name="offer_of_cloud"),
            models.Index(fields=["region", "id"], name="offer_of_region"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.capacity}) at {self.cloud}/{self.region or 'every region'}"


class Source(models.TextChoices):
    """Where a price is from. An example is nobody's price; a default is nothing, until staff say otherwise."""

    EXAMPLE = "example"
    DEFAULT = "default"
    AWS = "aws-price-list", "AWS price list"
    AZURE = "azure-retail", "Azure retail prices"
    STAFF = "staff"


class Price(models.Model):
    """What an hour of an offer costs in USD from `valid_from` on, for a customer or (null) for everybody.

    It is valid until the next one of the same offer and customer begins, whatever else is written: so no two overlap.
    `valid_to` says when it ends, with a next one or without.
    """

    offer = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="prices")
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount = models.DecimalField(max_digits=20, decimal_places=10)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    source = models.CharField(max_length=16, choices=Source.choices)
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["offer", "customer", "valid_from"],
                condition=Q(customer__isnull=False),
                name="price_of_customer_once",
            ),
            models.UniqueConstraint(
                fields=["offer", "valid_from"], condition=Q(customer__isnull=True), name="price_of_everybody_once"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_not_negative"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")), name="price_ends_after_it_begins"
            ),
        ]
        indexes = [
            models.Index(fields=["source", "id"], name="price_of_source"),
            models.Index(fields=["customer", "id"], name="price_of_customer", condition=Q(customer__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} USD per hour from {self.valid_from:%Y-%m-%d}"
