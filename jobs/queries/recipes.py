"""Recipes, as callers may see them, and how far they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet

from accounts import access
from accounts.models import Role, User
from controlplane.core.filters import key_of
from jobs import gates, states
from jobs.alive_sql import WAITS_FOR_NODE
from jobs.errors import RecipeNotFound
from jobs.models import Job, Recipe, RecipeNode
from jobtypes.recipe.definition import Node, parse

# Why a job of a recipe is not queued yet: a node before it is not done, or has failed, or gave too little.
PARENT_FAILED: Final = "PARENT_FAILED"
INPUT_MISSING: Final = "INPUT_MISSING"
_TOO_LITTLE: Final = "Something that it needs was not among the outputs of the jobs before it."
_AROUND: Final = ("recipe_type", "revision", "customer", "owner", "place")
_DOCUMENTS: Final = ("recipe_type__definition", "revision__definition")


@dataclass(slots=True)
class Progress:
    """How far a recipe is, with all that is inside it. `jobs`: by their status as v6 shows it."""

    jobs: Counter[str] = field(default_factory=Counter)
    recipes: int = 0
    recipes_completed: int = 0


def visible_recipes(user: User) -> QuerySet[Recipe]:
    """The recipes that `user` may read, as lists need them: without documents."""
    recipes = Recipe.objects.select_related(*_AROUND).defer(*_DOCUMENTS)
    if user.role != Role.CUSTOMER:
        return recipes
    return recipes.filter(customer=user.customer_id) if user.customer_id is not None else recipes.none()


def find_recipe(user: User, reference: str, action: str) -> Recipe:
    """The recipe with this id or uuid, if `user` may do `action` to it. Raises RecipeNotFound, Forbidden."""
    recipe = Recipe.objects.select_related(*_AROUND).filter(**key_of(reference, RecipeNotFound)).first()
    if recipe is None:
        raise RecipeNotFound
    decision = access.decide(user, "jobs", action, owner_id=recipe.owner_id, customer_id=recipe.customer_id)
    access.enforce(decision, RecipeNotFound)
    return recipe


def made_nodes(recipe: Recipe) -> dict[str, RecipeNode]:
    """The nodes of a recipe that have been made, by name, with their jobs and recipes."""
    nodes = recipe.nodes.select_related("job__job_type", "job__error", "sub_recipe__recipe_type")
    return {node.name: node for node in nodes.defer("job__env", "job__job_type__manifest")}


def superseding(recipe: Recipe) -> int | None:
    """The id of the recipe that has taken this one's place."""
    return Recipe.objects.filter(supersedes=recipe).values_list("pk", flat=True).order_by("pk").first()


def progress_of(recipes: Iterable[Recipe]) -> dict[int, Progress]:
    """How far recipes are, by id: two statements for all of them, and one for each level of recipes inside."""
    top = [each.pk for each in recipes]
    found = {pk: Progress() for pk in top}
    holders = {pk: {pk} for pk in top}  # recipe -> those of the top that it is in
    level = set(top)
    while level:
        inner = RecipeNode.objects.filter(recipe__in=level, sub_recipe__isnull=False)
        level = set()
        for holder, pk, completed_at in inner.values_list("recipe", "sub_recipe", "sub_recipe__completed_at"):
            assert pk is not None
            for above in holders[holder]:
                found[above].recipes += 1
                found[above].recipes_completed += completed_at is not None
            holders.setdefault(pk, set()).update(holders[holder])
            level.add(pk)
    started = ExpressionWrapper(Q(job__started_at__isnull=False), output_field=BooleanField())
    nodes = RecipeNode.objects.filter(recipe__in=holders, job__isnull=False).annotate(started=started).order_by()
    counts = nodes.values_list("recipe", "job__status", "started").annotate(number=Count("pk"))
    for pk, status, has_started, number in counts:
        for above in holders[pk]:
            found[above].jobs[states.shown(status, started=has_started)] += number
    return found


def jobs_inside(recipes: Iterable[int]) -> list[int]:
    """The jobs that were made in recipes and in those inside: a statement for each level, and one.

    What a recipe has taken over was made in another.
    """
    found = level = set(recipes)
    while level:
        level = set(Recipe.objects.filter(parent__in=level).values_list("pk", flat=True))
        found = found | level
    return list(Job.objects.filter(recipe__in=found).values_list("pk", flat=True))


def kept_back(job: Job) -> list[gates.Reason]:
    """What a job that was not queued yet waits for: each node before it that is not done, or why it is blocked."""
    node = RecipeNode.objects.filter(recipe=job.recipe_id, job=job).select_related("recipe__revision").first()
    if node is None:
        return []
    if job.status == states.BLOCKED and job.reason == INPUT_MISSING:
        return [gates.Reason(INPUT_MISSING, _TOO_LITTLE, since=job.moved_at)]
    code = job.reason if job.status == states.BLOCKED else WAITS_FOR_NODE
    before = _not_done(parse(node.recipe.revision.definition).nodes[node.name], made_nodes(node.recipe))
    return [gates.Reason(code, hint, since=job.moved_at, value=name) for name, hint in before.items()]


def why_waits(node: Node, made: Mapping[str, RecipeNode]) -> list[str]:
    """Why a node of a recipe waits or is not made yet, for people; `made` is what made_nodes gives. No statement."""
    found = made.get(node.name)
    if found is None:
        return list(_not_done(node, made).values())
    job = found.job
    if job is None or job.status not in (states.PENDING, states.BLOCKED):
        return []
    if job.status == states.BLOCKED and job.reason == INPUT_MISSING:
        return [_TOO_LITTLE]
    return list(_not_done(node, made).values())


def _not_done(node: Node, made: Mapping[str, RecipeNode]) -> dict[str, str]:
    """The nodes before this one that are not done, each with how it stands."""
    return {
        each.name: f"Waits for {each.name}, which {said}."
        for each in node.dependencies
        if (said := _stands(made.get(each.name)))
    }


def _stands(node: RecipeNode | None) -> str:
    """How a node stands, for people; empty when it is done."""
    if node is None:
        return "is not made yet"
    if node.job is not None:
        return "" if node.job.status == states.COMPLETED else f"is {node.job.status}"
    if node.sub_recipe is not None and node.sub_recipe.completed_at is None:
        return "is canceled" if node.sub_recipe.canceled_at else "is not completed"
    return ""
