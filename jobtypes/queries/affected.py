"""Which recipe types could not be used any more if something that they are made of were taken away."""

from __future__ import annotations

from django.db.models import QuerySet

from jobtypes.models import JobType, RecipeType


def affected_by_job_type(job_type: JobType) -> list[str]:
    """The names of the active recipe types that contain it, and of those that contain these."""
    return _upwards(RecipeType.objects.filter(nodes__job_type=job_type, is_active=True))


def affected_by_recipe_type(recipe_type: RecipeType) -> list[str]:
    """The names of the active recipe types that contain it, and of those that contain these, without its own."""
    return _upwards(RecipeType.objects.filter(nodes__sub_recipe_type=recipe_type, is_active=True))


def _upwards(rows: QuerySet[RecipeType]) -> list[str]:
    """One statement for each level."""
    found: dict[int, str] = {}
    while level := {pk: name for pk, name in rows.values_list("pk", "name") if pk not in found}:
        found |= level
        rows = RecipeType.objects.filter(nodes__sub_recipe_type__in=list(level), is_active=True)
    return sorted(found.values())
