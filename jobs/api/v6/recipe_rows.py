"""The rows of recipes in the native surface's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jobs import states
from jobs.api.v6.rows import shown_status
from jobs.models import Job, Outcome, Recipe, RecipeNode
from jobs.queries.recipes import Progress, made_nodes, progress_of, superseding
from jobtypes.api.v6.rows import brief, error, moment
from jobtypes.models import RecipeType
from jobtypes.recipe.definition import Condition, JobTypeRef, Node, RecipeTypeRef, parse
from jobtypes.recipe.walk import skipped

_SCALE: Final = dict.fromkeys(("event", "ingest_event", "batch"))


def recipes(page: Sequence[Recipe]) -> list[dict[str, Any]]:
    """Recipes as lists show them, with how far they are."""
    progress = progress_of(page)
    return [_recipe(row, progress[row.pk]) for row in page]


def _recipe(row: Recipe, progress: Progress) -> dict[str, Any]:
    return {
        "id": row.pk,
        "uuid": str(row.uuid),
        "recipe_type": _type(row.recipe_type),
        "recipe_type_rev": {"id": row.revision_id, "revision_num": row.revision.revision_num},
        "recipe": _reference(row.parent_id),
        "customer": row.customer.name,
        "owner": row.owner.username,
        "cloud": row.place.cloud,
        "region": row.place.region,
        "jobs_total": progress.jobs.total(),
        **{f"jobs_{status.lower()}": progress.jobs[status] for status in states.SHOWN_STATES},
        "sub_recipes_total": progress.recipes,
        "sub_recipes_completed": progress.recipes_completed,
        "is_completed": row.completed_at is not None,
        "is_canceled": row.canceled_at is not None,
        "is_superseded": row.superseded_at is not None,
        "superseded_recipe": _reference(row.supersedes_id),
        "created": moment(row.created_at),
        "completed": moment(row.completed_at),
        "canceled": moment(row.canceled_at),
        "superseded": moment(row.superseded_at),
        "last_modified": moment(row.modified_at),
        **_SCALE,
    }


def recipe_detail(row: Recipe) -> dict[str, Any]:
    """A recipe with its input and all its nodes, those that are not made yet, too."""
    definition, made = parse(row.revision.definition), made_nodes(row)
    outcomes = {name: node.outcome == Outcome.ACCEPTED for name, node in made.items() if node.outcome}
    left_out = skipped(definition, outcomes)
    return {
        **_recipe(row, progress_of([row])[row.pk]),
        "superseded_by_recipe": _reference(superseding(row)),
        "input": row.input,
        "configuration": row.configuration,
        "nodes": [_node(node, made.get(node.name), row, node.name in left_out) for node in definition.nodes.values()],
    }


def _node(node: Node, made: RecipeNode | None, of: Recipe, is_skipped: bool) -> dict[str, Any]:
    job, recipe = (made.job, made.sub_recipe) if made else (None, None)
    is_own = (job is None or job.recipe_id == of.pk) and (recipe is None or recipe.parent_id == of.pk)
    return {
        "name": node.name,
        "node_type": _kind(node),
        "dependencies": [{"name": each.name, "acceptance": each.acceptance} for each in node.dependencies],
        "is_skipped": is_skipped,
        "is_original": is_own,
        "is_accepted": made.outcome == Outcome.ACCEPTED if made and made.outcome else None,
        "job": _job(job) if job else None,
        "recipe": _inner(recipe) if recipe else None,
    }


def _kind(node: Node) -> str:
    kinds = {JobTypeRef: "job", RecipeTypeRef: "recipe", Condition: "condition"}
    return kinds[type(node.what)]


def _job(row: Job) -> dict[str, Any]:
    return {
        "id": row.pk,
        "uuid": str(row.uuid),
        "job_type": brief(row.job_type) if row.job_type else None,
        "status": shown_status(row),
        "state": row.status,
        "reason": row.reason,
        "error": error(row.error),
        "started": moment(row.started_at),
        "ended": moment(row.ended_at),
    }


def _inner(row: Recipe) -> dict[str, Any]:
    return {
        "id": row.pk,
        "uuid": str(row.uuid),
        "recipe_type": _type(row.recipe_type),
        "is_completed": row.completed_at is not None,
        "is_canceled": row.canceled_at is not None,
    }


def _type(row: RecipeType) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "title": row.title, "revision_num": row.revision_num}


def _reference(pk: int | None) -> dict[str, Any] | None:
    return None if pk is None else {"id": pk}
