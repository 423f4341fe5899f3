"""Recipes: made from a recipe type, carried on whenever something of them ends, canceled, run anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import Customer, User
from accounts.services import ensure_customer
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from jobs import queries, states
from jobs.errors import RecipeState
from jobs.models import MAX_PRIORITY, Job, Place, Recipe, RecipeNode
from jobs.services.cancel import cancel_jobs
from jobs.services.move import ADVANCE_RECIPE
from jobs.services.places import place_id
from jobs.services.recipe_steps import Step, tell_of
from jobtypes.models import RecipeType, RecipeTypeRevision
from jobtypes.recipe.definition import Definition, parse
from jobtypes.recipe.difference import difference
from jobtypes.seed.inputs import check_media_types

STUCK_AFTER: Final = timedelta(minutes=1)
STUCK_AT_ONCE: Final = 100
_MOVES: Final = (states.QUEUED, states.DELAYED, states.STARTING, states.RUNNING, states.CANCELING)
_ALIVE: Final = (*states.WAITING, states.STARTING, states.RUNNING)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new recipe is to run, read and checked."""

    revision: RecipeTypeRevision
    definition: Definition
    input: dict[str, Any]
    configuration: dict[str, Any]


def read_wish(owner: User, recipe_type: RecipeType, revision: int | None, input: Any, configuration: Any) -> Wish:
    """What `owner` asks for when running a recipe type. Writes nothing. Raises InvalidRequest naming the field."""
    if not recipe_type.is_active:
        raise InvalidRequest("The recipe type is not active: no new recipes of it.", field="recipe_type_id")
    found = _revision(recipe_type, revision)
    chosen = _configuration(configuration)
    definition = parse(found.definition)
    return Wish(found, definition, _input(owner, definition, input), chosen)


def create_recipe(
    *,
    owner: User,
    recipe_type: RecipeType,
    customer: str = "",
    region: str = "",
    input: Any = None,
    configuration: Any = None,
    revision: int | None = None,
) -> Recipe:
    """Run a recipe type, in its newest revision unless another is named, for `owner`.

    What can start is queued, what waits for other nodes is PENDING. Raises InvalidRequest naming the field,
    QuotaExceeded.
    """
    wish = read_wish(owner, recipe_type, revision, input, configuration)
    name = customer or (owner.customer.name if owner.customer else settings.DEFAULT_CUSTOMER)
    with transaction.atomic():
        recipe = Recipe.objects.create(
            recipe_type=recipe_type,
            revision=wish.revision,
            owner=owner,
            customer=Customer.objects.get(pk=ensure_customer(name)),
            place=Place.objects.get(pk=place_id("local", region or settings.LOCAL_REGION)),
            input=wish.input,
            configuration=wish.configuration,
        )
        tell_of(recipe, "recipe.created", owner.pk, {"recipe_type": recipe_type.name})
        Step(recipe).take(bounded=True)
    return recipe


def advance_recipe(recipe_id: int) -> None:
    """Do what can be done of a recipe now. Safe to call at any time, and by several at once."""
    with transaction.atomic():
        recipe = _locked(recipe_id)
        if recipe is None or recipe.completed_at is not None:
            return
        if recipe.canceled_at is not None:
            if not _is_back(recipe):
                return
            recipe.canceled_at = None
        Step(recipe).take()
        recipe.modified_at = timezone.now()
        recipe.save(update_fields=["canceled_at", "modified_at"])
        if recipe.parent_id is not None:
            enqueue(ADVANCE_RECIPE, recipe_id=recipe.parent_id)


def advance_stuck() -> int:
    """Take up recipes that wait although nothing in them moves, whose wake-up was lost. Returns how many."""
    inside = Job.objects.filter(recipe=OuterRef("pk"))
    below = Recipe.objects.filter(parent=OuterRef("pk"), completed_at__isnull=True)
    recipes = Recipe.objects.filter(
        ~Exists(inside.filter(status__in=_MOVES)),
        ~Exists(below),
        Exists(inside.filter(status=states.PENDING)) | ~Exists(inside.exclude(status=states.COMPLETED)),
        completed_at__isnull=True,
        canceled_at__isnull=True,
        superseded_at__isnull=True,
        modified_at__lt=timezone.now() - STUCK_AFTER,
    )
    ids = list(recipes.order_by("pk").values_list("pk", flat=True)[:STUCK_AT_ONCE])
    for recipe_id in ids:
        advance_recipe(recipe_id)
    return len(ids)


def cancel_recipe(recipe: Recipe, *, actor: User | None) -> list[int]:
    """Stop all jobs of a recipe and of those inside it, and make no more of them. Returns the ids of the jobs stopped.

    A job that is requeued afterwards lets its recipe go on. Raises RecipeState for a recipe that is completed.
    """
    with transaction.atomic():
        found = _locked(recipe.pk)
        if found is None or found.completed_at is not None:
            raise RecipeState("The recipe is completed.")
        stopped = _stop(found, actor)
        if found.parent_id is not None:
            enqueue(ADVANCE_RECIPE, recipe_id=found.parent_id)
    recipe.refresh_from_db()
    return stopped


def reprocess_recipe(
    recipe: Recipe,
    *,
    actor: User,
    revision: int | None = None,
    forced_nodes: Collection[str] = (),
    force_all: bool = False,
) -> Recipe:
    """Run a recipe anew, as a new recipe that supersedes it, in the newest revision unless another is named.

    Nodes that are completed and the same as before, with all that they depend on, are taken over; `forced_nodes` and
    what depends on them, or with `force_all` all nodes, run again. What of the old recipe has not ended is stopped.
    Raises RecipeState for a recipe inside another or one that is superseded, InvalidRequest naming the field.
    """
    chosen = _revision(recipe.recipe_type, revision)
    if not recipe.recipe_type.is_active:
        raise RecipeState("The recipe type is not active: no new recipes of it.")
    definition = parse(chosen.definition)
    unknown = next((name for name in forced_nodes if name not in definition.nodes), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no node {unknown[:64]!r}.", field="forced_nodes")
    given = definition.input.read(recipe.input).document()
    with transaction.atomic():
        old = _locked(recipe.pk)
        if old is None or old.parent_id is not None:
            raise RecipeState("The recipe is part of another; that one can be reprocessed.")
        if old.superseded_at is not None:
            raise RecipeState("The recipe is superseded already.")
        kept = {} if force_all else _kept(old, definition, forced_nodes)
        _supersede(old, {node.pk for node in kept.values()}, actor)
        made = Recipe.objects.create(
            recipe_type=old.recipe_type,
            revision=chosen,
            owner=old.owner,
            customer=old.customer,
            place=old.place,
            input=given,
            configuration=old.configuration,
            supersedes=old,
        )
        RecipeNode.objects.bulk_create(
            RecipeNode(
                recipe=made, name=name, job_id=node.job_id, sub_recipe_id=node.sub_recipe_id, outcome=node.outcome
            )
            for name, node in kept.items()
        )
        tell_of(made, "recipe.created", actor.pk, {"supersedes": str(old.uuid)})
        Step(made).take(bounded=True)
        if made.completed_at is not None and len(kept) == made.nodes.count():
            raise InvalidRequest("Nothing of it would run again; name what is to.", field="forced_nodes")
    return made


# --- Locks and reads -----------------------------------------------------------------------------


def _locked(recipe_id: int) -> Recipe | None:
    rows = Recipe.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("revision", "recipe_type", "owner", "customer", "place").filter(pk=recipe_id).first()


def _is_back(recipe: Recipe) -> bool:
    """Whether something of a canceled recipe goes on: all that waited or ran was stopped with it."""
    below = Recipe.objects.filter(parent=recipe, canceled_at__isnull=True, completed_at__isnull=True)
    return Job.objects.filter(recipe=recipe, status__in=_ALIVE).exists() or below.exists()


def _revision(recipe_type: RecipeType, number: int | None) -> RecipeTypeRevision:
    wanted = recipe_type.revision_num if number is None else number
    found = recipe_type.revisions.filter(revision_num=wanted).first()
    if found is None:
        raise InvalidRequest("There is no such revision of this recipe type.", field="recipe_type_revision")
    return found


def _configuration(given: Any) -> dict[str, Any]:
    """What was given for all jobs of a recipe: their priority."""
    if given in (None, {}):
        return {}
    if not isinstance(given, dict) or set(given) != {"priority"}:
        raise InvalidRequest("This is an object with a priority.", field="configuration")
    priority = given["priority"]
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= MAX_PRIORITY:
        raise InvalidRequest(f"This is a whole number from 0 to {MAX_PRIORITY}.", field="configuration.priority")
    return {"priority": priority}


def _input(owner: User, definition: Definition, given: Any) -> dict[str, Any]:
    """What a recipe takes in, as JSON; `owner` has to be able to read its files. Raises InvalidRequest."""
    read = definition.input.read(given)
    files = queries.readable_files(owner, {i for ids in read.files.values() for i in ids})
    for name, ids in read.files.items():
        missing = next((i for i in ids if i not in files), None)
        if missing is not None:
            raise InvalidRequest(f"There is no file {missing}, or it is not yours.", field=f"input.files.{name}")
    check_media_types(definition.input.as_manifest(), read, {pk: file.media_type for pk, file in files.items()})
    return read.document()


# --- Stopping and superseding --------------------------------------------------------------------


def _stop(recipe: Recipe, actor: User | None) -> list[int]:
    """Stop a recipe that the caller has locked, and all that are inside it, each locked after what it is in."""
    stopped: list[int] = []
    level = [recipe]
    while level:
        now = timezone.now()
        ids = [each.pk for each in level]
        Recipe.objects.filter(pk__in=ids, canceled_at__isnull=True).update(canceled_at=now, modified_at=now)
        jobs = Job.objects.filter(recipe__in=ids).exclude(status__in=(*states.FINAL, states.CANCELING))
        while alive := list(jobs.values_list("pk", flat=True)):
            # A job that was between two tries when its turn came is found at the second look.
            moved = cancel_jobs(alive, actor=actor)
            stopped += moved
            if not moved:
                break
        for each in level:
            tell_of(each, "recipe.canceled", actor.pk if actor else None, {})
        below = Recipe.objects.filter(parent__in=ids, completed_at__isnull=True).order_by("pk")
        level = list(below.select_for_update(of=("self",), no_key=True))
    return stopped


def _kept(old: Recipe, definition: Definition, forced: Collection[str]) -> dict[str, RecipeNode]:
    """The nodes of the old recipe that need not run again, in the order of the new definition."""
    changed = difference(parse(old.revision.definition), definition)
    nodes: Mapping[str, RecipeNode] = {
        node.name: node for node in old.nodes.select_related("job", "sub_recipe") if _is_done(node)
    }
    kept: dict[str, RecipeNode] = {}
    for name, node in definition.nodes.items():
        again = changed[name].runs_again or name in forced or name not in nodes
        if not again and all(each.name in kept for each in node.dependencies):
            kept[name] = nodes[name]
    return kept


def _taken_over(recipe: Recipe, node: RecipeNode) -> RecipeNode:
    return RecipeNode(
        recipe=recipe, name=node.name, job_id=node.job_id, sub_recipe_id=node.sub_recipe_id, outcome=node.outcome
    )


def _is_done(node: RecipeNode) -> bool:
    if node.job is not None:
        return node.job.status == states.COMPLETED
    return node.sub_recipe.completed_at is not None if node.sub_recipe else bool(node.outcome)


def _supersede(old: Recipe, kept: Collection[int], actor: User) -> None:
    """Mark a recipe, and what of it is not taken over, as superseded; stop what has not ended."""
    if old.completed_at is None:
        _stop(old, actor)
    now = timezone.now()
    nodes = old.nodes.exclude(pk__in=kept)
    recipes = [old.pk]
    level = list(nodes.filter(sub_recipe__isnull=False).values_list("sub_recipe", flat=True))
    while level:
        recipes += level
        level = list(
            RecipeNode.objects.filter(recipe__in=level, sub_recipe__isnull=False).values_list("sub_recipe", flat=True)
        )
    left = RecipeNode.objects.filter(recipe__in=recipes[1:], job__isnull=False)
    jobs = [*nodes.filter(job__isnull=False).values_list("job", flat=True), *left.values_list("job", flat=True)]
    Recipe.objects.filter(pk__in=recipes).update(superseded_at=now, modified_at=now)
    Job.objects.filter(sets.among("id", jobs, Job)).update(superseded_at=now, modified_at=now)
    tell_of(old, "recipe.superseded", actor.pk, {})
