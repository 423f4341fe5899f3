"""Recipe types, as callers may see them, and what their definitions name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import QuerySet

from accounts import access
from accounts.models import User
from jobtypes.errors import RecipeTypeNotFound, RevisionNotFound
from jobtypes.models import JobType, JobTypeRevision, RecipeType, RecipeTypeNode, RecipeTypeRevision
from jobtypes.recipe.checks import Known, KnownJobType, KnownRecipeType
from jobtypes.recipe.definition import Definition, JobTypeRef, RecipeTypeRef, parse
from jobtypes.recipe.interfaces import Interface, of_manifest
from jobtypes.seed.manifest import read_manifest


def visible_recipe_types(user: User) -> QuerySet[RecipeType]:
    """The recipe types that `user` may read: all of them, for everybody who may read job types."""
    access.demand(user, "job_types", access.READ)
    return RecipeType.objects.all()


def find_recipe_type(user: User, name: str, action: str) -> RecipeType:
    """The recipe type of this name, if `user` may do `action` to it. Raises RecipeTypeNotFound, Forbidden."""
    found = visible_recipe_types(user).filter(name=name).first()
    if found is None:
        raise RecipeTypeNotFound
    access.demand(user, "job_types", action)
    return found


def find_recipe_revision(recipe_type: RecipeType, number: int) -> RecipeTypeRevision:
    """A revision of a recipe type. Raises RevisionNotFound."""
    found = recipe_type.revisions.filter(revision_num=number).first() if number < 2**31 else None
    if found is None:
        raise RevisionNotFound
    return found


def contained(recipe_types: Iterable[RecipeType]) -> dict[int, tuple[list[JobType], list[RecipeType]]]:
    """What each recipe type is made of now, by its id: job types by name and version, recipe types by name."""
    ids = [each.pk for each in recipe_types]
    nodes = RecipeTypeNode.objects.filter(recipe_type__in=ids).select_related("job_type", "sub_recipe_type")
    job_types: dict[int, dict[int, JobType]] = {each: {} for each in ids}
    inside: dict[int, dict[int, RecipeType]] = {each: {} for each in ids}
    for node in nodes.defer("job_type__manifest", "job_type__configuration", "sub_recipe_type__definition"):
        if node.job_type is not None:
            job_types[node.recipe_type_id][node.job_type.pk] = node.job_type
        if node.sub_recipe_type is not None:
            inside[node.recipe_type_id][node.sub_recipe_type.pk] = node.sub_recipe_type
    return {
        each: (
            sorted(job_types[each].values(), key=lambda job_type: (job_type.name, job_type.version_key)),
            sorted(inside[each].values(), key=lambda recipe_type: recipe_type.name),
        )
        for each in ids
    }


def above(recipe_type: RecipeType) -> list[RecipeType]:
    """The recipe types that contain this one now, in the order of their names."""
    found = RecipeType.objects.filter(nodes__sub_recipe_type=recipe_type).defer("definition")
    return list(found.order_by("name").distinct())


# --- What definitions name -----------------------------------------------------------------------


def known_to(definition: Definition) -> Known:
    """What there is of what a definition names: a few statements, one more for each level of recipes inside it."""
    return Known(_known_job_types(definition.job_types), _known_recipe_types(definition.recipe_types))


def revisions_named(refs: Iterable[JobTypeRef]) -> dict[JobTypeRef, JobTypeRevision]:
    """The revisions of job types that are named, each with its job type; the newest where none is."""
    wanted = set(refs)
    if not wanted:
        return {}
    names, versions = {ref.name for ref in wanted}, {ref.version for ref in wanted}
    types = {(t.name, t.version): t for t in JobType.objects.filter(name__in=names, version__in=versions)}
    numbers = {
        (types[ref.name, ref.version].pk, ref.revision or types[ref.name, ref.version].revision_num): ref
        for ref in wanted
        if (ref.name, ref.version) in types
    }
    rows = JobTypeRevision.objects.filter(
        job_type__in={pk for pk, _ in numbers}, revision_num__in={number for _, number in numbers}
    )
    by_key = {(row.job_type_id, row.revision_num): row for row in rows.select_related("job_type")}
    found = {}
    for ref in wanted:
        job_type = types.get((ref.name, ref.version))
        row = by_key.get((job_type.pk, ref.revision or job_type.revision_num)) if job_type else None
        if row is not None:
            found[ref] = row
    return found


def recipe_revisions_named(refs: Iterable[RecipeTypeRef]) -> dict[RecipeTypeRef, RecipeTypeRevision]:
    """The revisions of recipe types that are named, each with its recipe type; the newest where none is."""
    wanted = set(refs)
    if not wanted:
        return {}
    types = {each.name: each for each in RecipeType.objects.filter(name__in={ref.name for ref in wanted})}
    numbers = {ref: ref.revision or types[ref.name].revision_num for ref in wanted if ref.name in types}
    rows = RecipeTypeRevision.objects.filter(
        recipe_type__in=[types[ref.name] for ref in numbers], revision_num__in=set(numbers.values())
    )
    by_key = {(row.recipe_type.name, row.revision_num): row for row in rows.select_related("recipe_type")}
    keys = {ref: (ref.name, number) for ref, number in numbers.items()}
    return {ref: by_key[key] for ref, key in keys.items() if key in by_key}


def _known_job_types(refs: set[JobTypeRef]) -> dict[JobTypeRef, KnownJobType]:
    return {
        ref: KnownJobType(row.revision_num, of_manifest(read_manifest(row.manifest)), row.job_type.is_active)
        for ref, row in revisions_named(refs).items()
    }


def _known_recipe_types(refs: set[RecipeTypeRef]) -> dict[RecipeTypeRef, KnownRecipeType]:
    # A revision names revisions that were there before it, so that there is no circle and this comes to an end.
    rows: dict[RecipeTypeRef, RecipeTypeRevision] = {}
    definitions: dict[RecipeTypeRef, Definition] = {}
    waiting = set(refs)
    while waiting:
        found = recipe_revisions_named(waiting)
        rows |= found
        definitions |= {ref: parse(row.definition) for ref, row in found.items()}
        waiting = {each for ref in found for each in definitions[ref].recipe_types} - rows.keys()
    sizes: dict[RecipeTypeRef, tuple[int, frozenset[str]]] = {}
    return {
        ref: _known(rows[ref], *_inside(ref, definitions, sizes), definitions[ref].input) for ref in refs & set(rows)
    }


def _known(row: RecipeTypeRevision, size: int, contains: frozenset[str], takes: Interface) -> KnownRecipeType:
    return KnownRecipeType(row.revision_num, takes, row.recipe_type.is_active, size, contains)


def _inside(
    ref: RecipeTypeRef,
    definitions: Mapping[RecipeTypeRef, Definition],
    sizes: dict[RecipeTypeRef, tuple[int, frozenset[str]]],
) -> tuple[int, frozenset[str]]:
    """How many nodes are in this recipe type and inside it, and the names of the recipe types inside it."""
    if ref not in sizes:
        definition = definitions[ref]
        size, names = len(definition.nodes), {ref.name}
        for node in definition.nodes.values():
            if isinstance(node.what, RecipeTypeRef):
                more, inner = _inside(node.what, definitions, sizes)
                size, names = size + more, names | inner
        sizes[ref] = size, frozenset(names)
    return sizes[ref]
