"""The rows of recipe types in the native surface's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobtypes.api.v6.rows import job_type, moment, recipe_type_summary
from jobtypes.models import JobType, RecipeType, RecipeTypeRevision
from jobtypes.queries.recipe_types import above, contained
from jobtypes.recipe.difference import NodeDifference
from jobtypes.seed.verdicts import Finding
from jobtypes.services.recipe_types import RecipeVerdict


def recipe_types(page: Sequence[RecipeType]) -> list[dict[str, Any]]:
    """Recipe types as lists show them. One statement for all of them."""
    inside = contained(page)
    return [_recipe_type(row, *inside[row.pk]) for row in page]


def _recipe_type(row: RecipeType, job_types: Iterable[JobType], inner: Iterable[RecipeType]) -> dict[str, Any]:
    return {
        **recipe_type_summary(row),
        "job_types": [{"name": each.name, "version": each.version} for each in job_types],
        "sub_recipe_types": [each.name for each in inner],
    }


def recipe_type_detail(row: RecipeType) -> dict[str, Any]:
    """All there is of a recipe type."""
    job_types, inner = contained([row])[row.pk]
    return {
        **recipe_type_summary(row),
        "definition": row.definition,
        "job_types": [job_type(each) for each in job_types],
        "sub_recipe_types": [recipe_type_summary(each) for each in inner],
        "super_recipe_types": [recipe_type_summary(each) for each in above(row)],
    }


def revision(row: RecipeTypeRevision, of: RecipeType) -> dict[str, Any]:
    """A revision; `of` is its recipe type as it is now."""
    return {
        "id": row.pk,
        "recipe_type": recipe_type_summary(of),
        "revision_num": row.revision_num,
        "created": moment(row.created_at),
    }


def revision_detail(row: RecipeTypeRevision, of: RecipeType) -> dict[str, Any]:
    return {**revision(row, of), "definition": row.definition}


def verdict(given: RecipeVerdict) -> dict[str, Any]:
    return {
        "is_valid": given.is_valid,
        "errors": [_finding(each) for each in given.errors],
        "warnings": [_finding(each) for each in given.warnings],
        "diff": difference(given.difference),
    }


def difference(nodes: Mapping[str, NodeDifference]) -> dict[str, Any]:
    """What has changed, node by node."""
    return {
        "nodes": {
            name: {
                "status": node.status.value,
                "reprocess_new_node": node.runs_again,
                "changes": [_finding(each) for each in node.changes],
            }
            for name, node in nodes.items()
        }
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {"name": found.name, "description": found.description}
