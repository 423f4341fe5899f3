"""Recipes: chains of jobs made from a recipe type."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User
from controlplane.core.ids import uuid7
from jobs.models.engine import Place
from jobs.models.job import Job
from jobtypes.models import RecipeType, RecipeTypeRevision


class Recipe(models.Model):
    """One run of a recipe type's revision. A node inside another recipe is a recipe with `parent`.

    `input` is as a job's. `completed_at`: when the last of its nodes had completed.
    """

    uuid = models.UUIDField(default=uuid7, unique=True, editable=False)
    recipe_type = models.ForeignKey(RecipeType, on_delete=models.PROTECT, related_name="+", db_index=False)
    revision = models.ForeignKey(RecipeTypeRevision, on_delete=models.PROTECT, related_name="+", db_index=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    place = models.ForeignKey(Place, on_delete=models.PROTECT, related_name="+", db_index=False)
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    input: models.JSONField[Any, Any] = models.JSONField(default=dict)
    configuration: models.JSONField[Any, Any] = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    completed_at = models.DateTimeField(null=True, editable=False)
    canceled_at = models.DateTimeField(null=True, editable=False)
    supersedes = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="superseded_by")
    superseded_at = models.DateTimeField(null=True, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["modified_at", "id"], name="recipe_by_change"),
            models.Index(fields=["customer", "modified_at", "id"], name="recipe_of_customer_by_change"),
            models.Index(
                fields=["id"],
                name="recipe_open",
                condition=Q(completed_at__isnull=True, canceled_at__isnull=True, superseded_at__isnull=True),
            ),
            # The admin's list, the newest first: of a type, of a customer, and those of which there are few.
            models.Index(fields=["recipe_type", "id"], name="recipe_of_type"),
            models.Index(fields=["customer", "id"], name="recipe_of_customer"),
            models.Index(fields=["id"], name="recipe_canceled", condition=Q(canceled_at__isnull=False)),
            models.Index(fields=["id"], name="recipe_superseded", condition=Q(superseded_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class Outcome(models.TextChoices):
    """What a condition has found."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class RecipeNode(models.Model):
    """A node of a recipe that has been made: a job, a recipe inside it, or a condition that was decided.

    A recipe that supersedes another takes over what need not run again: that has a node in both.
    """

    recipe = models.ForeignKey(Recipe, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=128)
    job = models.ForeignKey(Job, null=True, on_delete=models.CASCADE, related_name="recipe_nodes")
    sub_recipe = models.ForeignKey(Recipe, null=True, on_delete=models.CASCADE, related_name="recipe_nodes")
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["recipe", "name"], name="recipe_node_once"),
            models.CheckConstraint(
                condition=~Q(job__isnull=False, sub_recipe__isnull=False), name="recipe_node_is_one"
            ),
        ]

    def __str__(self) -> str:
        return self.name
