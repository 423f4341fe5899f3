"""Chains of job types: what runs after what, and whose outputs become whose inputs."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from controlplane.core.beginnings import BeginningIndex
from jobtypes.models.job_type import JobType


class RecipeType(models.Model):
    """A recipe type as it is now. `definition` is what was posted, with the revision of every node filled in."""

    name = models.CharField(max_length=128, unique=True)
    title = models.CharField(max_length=128)
    description = models.CharField(max_length=500, blank=True)
    definition: models.JSONField[Any, Any] = models.JSONField()
    revision_num = models.PositiveIntegerField(default=1)
    is_active = models.BooleanField(default=True)
    is_system = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deprecated_at = models.DateTimeField(null=True, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(is_active=True, deprecated_at__isnull=True)
                | Q(is_active=False, deprecated_at__isnull=False),
                name="recipe_type_deprecated_when_inactive",
            ),
        ]
        indexes = [BeginningIndex(Upper("name"), name="recipe_type_by_beginning")]

    def __str__(self) -> str:
        return self.name


class RecipeTypeRevision(models.Model):
    """The definition of a recipe type as it was from one edit to the next. Never edited."""

    recipe_type = models.ForeignKey(RecipeType, on_delete=models.CASCADE, related_name="revisions")
    revision_num = models.PositiveIntegerField()
    definition: models.JSONField[Any, Any] = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["recipe_type", "revision_num"], name="recipe_revision_once")]

    def __str__(self) -> str:
        return f"{self.recipe_type_id}/{self.revision_num}"


class RecipeTypeNode(models.Model):
    """What a node of the present definition holds: a job type, or another recipe type. A condition has no row."""

    recipe_type = models.ForeignKey(RecipeType, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=128)
    job_type = models.ForeignKey(JobType, null=True, on_delete=models.PROTECT, related_name="recipe_nodes")
    sub_recipe_type = models.ForeignKey(RecipeType, null=True, on_delete=models.PROTECT, related_name="above")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["recipe_type", "name"], name="recipe_type_node_once"),
            models.CheckConstraint(
                condition=Q(job_type__isnull=True) ^ Q(sub_recipe_type__isnull=True), name="recipe_type_node_is_one"
            ),
        ]

    def __str__(self) -> str:
        return self.name
