"""How long peers were connected to containers, as the containers themselves say."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from clusters.models.cluster import Container, Placement


class PeerTime(models.Model):
    """How long all peers of a container were connected within an hour of UTC, added up: two for a second make two.

    `metered_ms` of it somebody above has made records of.
    """

    container = models.ForeignKey(Container, on_delete=models.PROTECT, related_name="peer_times", db_index=False)
    hour = models.DateTimeField()
    milliseconds = models.PositiveBigIntegerField()
    metered_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["container", "hour"], name="peer_time_once")]
        indexes = [
            models.Index(fields=["hour", "container"], name="peer_time_of_hour"),
            models.Index(fields=["hour"], name="peer_time_unmetered", condition=Q(milliseconds__gt=F("metered_ms"))),
        ]

    def __str__(self) -> str:
        return f"{self.milliseconds} ms of {self.container_id} at {self.hour:%Y-%m-%d %H}h"


class PeerReading(models.Model):
    """What was last read of a placement, and counted: `values` has the milliseconds of each series by its labels.

    `run`: the placement's when it was read. `failures`: how often in a row it could not be read since.
    """

    placement = models.OneToOneField(Placement, on_delete=models.CASCADE, related_name="peer_reading")
    run = models.CharField(max_length=255, blank=True)
    read_at = models.DateTimeField(null=True)
    values: models.JSONField[Any, Any] = models.JSONField(default=dict)
    failures = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.placement_id} at {self.read_at}"
