"""Where containers can be had, and in which versions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Customer
from clusters.locations import LOCATIONS, MACHINE_TYPES
from controlplane.core.beginnings import BeginningIndex


class Location(models.Model):
    """A machine type at a location, and the place that has it.

    Without a cloud the deployment decides: the location's region of AWS where containers can be kept there, and with
    no region of AWS for containers at all, the machine this stands on. CPU in thousandths of a vCPU, memory in MiB.
    """

    name = models.CharField(max_length=16, choices=[(name, place.title) for name, place in LOCATIONS.items()])
    machine_type = models.CharField(max_length=8, choices=[(name, name) for name in MACHINE_TYPES])
    cloud = models.CharField(max_length=16, blank=True)
    region = models.CharField(max_length=64, blank=True)
    vcpus_milli = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    is_offered = models.BooleanField("offered", default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "machine_type"], name="location_once"),
            models.CheckConstraint(condition=Q(vcpus_milli__gt=0, memory_mib__gt=0), name="location_has_size"),
            models.CheckConstraint(
                condition=Q(cloud="", region="") | ~Q(cloud="") & ~Q(region=""), name="location_place"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.machine_type} at {self.name}"


class ImageVersion(models.Model):
    """What a container runs, under the name that customers choose it by. What it runs is never edited: add another.

    `ports`: numbers and protocols, the first the one that clients are led to. On a place without images, such as the
    machine this stands on, `command` is what runs. Well is what answers at `probe_port`, by HTTP where there is a
    `probe_path`. `max_restarts`: so many times in a row it may end before it is given up; none: for ever. Without
    `customers` everybody may choose it.
    """

    version = models.CharField(max_length=128, unique=True)
    image = models.CharField(max_length=255)
    command: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    env: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    ports: models.JSONField[Any, Any] = models.JSONField(default=list, blank=True)
    probe_port = models.PositiveIntegerField(null=True, blank=True)
    probe_path = models.CharField(max_length=255, blank=True)
    metrics_port = models.PositiveIntegerField(null=True, blank=True)
    metrics_path = models.CharField(max_length=255, blank=True, default="/metrics")
    max_restarts = models.PositiveIntegerField(null=True, blank=True, default=5)
    is_default = models.BooleanField("default", default=False)
    is_deprecated = models.BooleanField("deprecated", default=False)
    customers = models.ManyToManyField(Customer, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="image_version_default"),
        ]
        indexes = [BeginningIndex(Upper("version"), name="image_version_by_beginning")]

    def __str__(self) -> str:
        return self.version


class HostingPlace(models.Model):
    """A region where containers are kept, and who looks after it just now: one keeper at a time."""

    cloud = models.CharField(max_length=16)
    region = models.CharField(max_length=64)
    keeper = models.UUIDField(null=True, editable=False)
    kept_until = models.DateTimeField(null=True, editable=False)
    seen_at = models.DateTimeField(null=True, editable=False)
    failure = models.CharField(max_length=500, blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cloud", "region"], name="hosting_place_once")]

    def __str__(self) -> str:
        return f"{self.cloud}/{self.region}"
