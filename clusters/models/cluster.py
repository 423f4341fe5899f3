"""Clusters of long-running containers, and what stands of them at places."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import Customer, User
from clusters import states
from clusters.models.places import HostingPlace, ImageVersion
from controlplane.core.beginnings import BeginningIndex


class Cluster(models.Model):
    """Containers that share an image version and the token of their server API. One user's own.

    `secrets` holds the token, encrypted; `token_digest` tells that it is taken. What is archived frees both names.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="clusters", db_index=False)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=64)
    image_version = models.ForeignKey(ImageVersion, on_delete=models.PROTECT, related_name="clusters")
    secrets = models.TextField(editable=False)
    token_digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], condition=Q(archived_at__isnull=True), name="cluster_name_once"
            ),
            models.UniqueConstraint(
                fields=["token_digest"], condition=Q(archived_at__isnull=True), name="cluster_token_once"
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-id"], name="cluster_of_owner"),
            models.Index(fields=["customer", "-id"], name="cluster_of_customer"),
            models.Index(fields=["id"], name="cluster_unarchived", condition=Q(archived_at__isnull=True)),
            BeginningIndex(Upper("name"), name="cluster_by_beginning"),
        ]

    def __str__(self) -> str:
        return self.name


class Container(models.Model):
    """A server that is wanted to run on: what it is to be (`desired`) and what it is (`status`).

    A change of what it runs, or of where, raises `generation`; what stands at a place says which one it was asked for.
    `reason` says why it is not as wanted, in a word for programs; `detail` in the place's own words. Who drops one
    archives it at once, and its routing key is free.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="containers", db_index=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="containers", db_index=False)
    customer = models.ForeignKey(Customer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=64)
    routing_key = models.CharField(max_length=50)
    machine_type = models.CharField(max_length=8)
    location = models.CharField(max_length=16)
    image_version = models.ForeignKey(ImageVersion, on_delete=models.PROTECT, related_name="containers")
    desired = models.CharField(max_length=8, default=states.UP_WANTED)
    status = models.CharField(max_length=16, default=states.PENDING)
    generation = models.PositiveIntegerField(default=1)
    is_draining = models.BooleanField("draining", default=False, help_text="No new clients are led to it.")
    reason = models.CharField(max_length=32, blank=True)
    detail = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    moved_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it ran first.")
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "routing_key"], condition=Q(archived_at__isnull=True), name="routing_key_once"
            ),
            models.CheckConstraint(condition=Q(status__in=states.CONTAINER_STATES), name="container_status_known"),
            models.CheckConstraint(condition=Q(desired__in=states.DESIRED), name="container_desired_known"),
            models.CheckConstraint(
                condition=Q(desired=states.GONE_WANTED, archived_at__isnull=False)
                | ~Q(desired=states.GONE_WANTED) & Q(archived_at__isnull=True),
                name="container_archived_is_unwanted",
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-id"], name="container_of_owner"),
            models.Index(fields=["owner", "id"], name="container_live", condition=Q(archived_at__isnull=True)),
            models.Index(fields=["cluster", "-id"], name="container_of_cluster"),
            models.Index(fields=["cluster", "id"], name="container_in_use", condition=Q(archived_at__isnull=True)),
            models.Index(fields=["customer", "-id"], name="container_of_customer"),
            models.Index(fields=["status", "-id"], name="container_status"),
            models.Index(fields=["id"], name="container_unarchived", condition=Q(archived_at__isnull=True)),
            BeginningIndex(Upper("name"), name="container_by_beginning"),
        ]

    def __str__(self) -> str:
        return self.name


class Placement(models.Model):
    """What stands, or is to stand, of a container at a place: there it goes by the placement's uuid.

    `asked_at` is written before the place is asked for the first time, so that nothing stands there unknown;
    `generation` is that of the container which it was last asked for, as the configuration `revision`. The rest is
    what the place was seen to say: of the run that serves. `ends` counts its ends in a row, without a minute of being
    well between them.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="placements", db_index=False)
    place = models.ForeignKey(HostingPlace, on_delete=models.PROTECT, related_name="placements", db_index=False)
    status = models.CharField(max_length=8, default=states.WISHED)
    handle = models.CharField(max_length=255, blank=True)
    generation = models.PositiveIntegerField(default=0)
    revision = models.CharField(max_length=32, blank=True)
    asked_at = models.DateTimeField(null=True, editable=False)
    retired_at = models.DateTimeField(null=True, editable=False, help_text="When the place was last told to end it.")
    run = models.CharField(max_length=255, blank=True)
    started_at = models.DateTimeField(null=True)
    restarts = models.PositiveIntegerField(default=0)
    ends = models.PositiveIntegerField(default=0)
    is_healthy = models.BooleanField(null=True)
    host = models.CharField(max_length=255, blank=True)
    ports: models.JSONField[Any, Any] = models.JSONField(default=dict)
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["container"], condition=Q(status__in=states.HELD), name="placement_one_at_a_time"
            ),
            models.CheckConstraint(condition=Q(status__in=states.PLACEMENT_STATES), name="placement_status_known"),
            models.CheckConstraint(
                condition=Q(status=states.GONE, ended_at__isnull=False)
                | ~Q(status=states.GONE) & Q(ended_at__isnull=True),
                name="placement_end",
            ),
        ]
        indexes = [
            models.Index(fields=["place", "id"], name="placement_there", condition=Q(status__in=states.THERE)),
            models.Index(fields=["container", "-id"], name="placement_of_container"),
            models.Index(fields=["handle"], name="placement_by_handle", condition=~Q(handle="")),
        ]

    def __str__(self) -> str:
        return f"{self.container_id} at {self.place_id}"


class Rollout(models.Model):
    """A change of the image version of a cluster, container after container.

    At most `max_unavailable` of its containers are being changed, or not well, at a time. One that does not come up
    pauses it, with the reason. Rolled back, it goes the other way, to `before`.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="rollouts", db_index=False)
    before = models.ForeignKey(ImageVersion, on_delete=models.PROTECT, related_name="+")
    target = models.ForeignKey(ImageVersion, on_delete=models.PROTECT, related_name="+")
    max_unavailable = models.PositiveIntegerField(default=1)
    is_back = models.BooleanField("goes back", default=False)
    status = models.CharField(max_length=16, default=states.ROLLING)
    reason = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster"], condition=Q(status__in=states.ROLLOUT_OPEN), name="rollout_one_at_a_time"
            ),
            models.CheckConstraint(condition=Q(status__in=states.ROLLOUT_STATES), name="rollout_status_known"),
            models.CheckConstraint(condition=Q(max_unavailable__gt=0), name="rollout_goes_on"),
        ]
        indexes = [
            models.Index(fields=["cluster", "-id"], name="rollout_of_cluster"),
            models.Index(fields=["id"], name="rollout_rolling", condition=Q(status=states.ROLLING)),
        ]

    def __str__(self) -> str:
        return f"{self.cluster_id} to {self.target_id}"


class RecordingSettings(models.Model):
    """Where the recordings of a cluster go: a bucket of the user's, written in a role that they let us take."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="recording_settings")
    role_arn = models.CharField(max_length=255)
    bucket_region = models.CharField(max_length=50)
    bucket_name = models.CharField(max_length=63)
    base_path = models.CharField(max_length=255, default="/")
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.bucket_name}{self.base_path}"
