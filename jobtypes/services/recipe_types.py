"""Recipe types: made, edited, kept in step with the job types that they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import slugify

from accounts.events import tell
from accounts.models import User
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from jobtypes.errors import InvalidDocument, RecipeTypeNotFound
from jobtypes.models import JobType, RecipeType, RecipeTypeNode, RecipeTypeRevision
from jobtypes.queries.recipe_types import known_to
from jobtypes.recipe.checks import check, filled
from jobtypes.recipe.definition import Definition, JobTypeRef, RecipeTypeRef, parse
from jobtypes.recipe.difference import NodeDifference, difference
from jobtypes.seed.verdicts import Finding, Invalid, listed

NAME_LENGTH: Final = 128
RESERVED: Final = frozenset({"validation"})
# New revisions, by what they are of: ("job_type", name, version) or ("recipe_type", name).
News = Mapping[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class RecipeVerdict:
    """What is said of a definition, or of an edit. `difference` is by node, and empty where nothing was compared."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    difference: Mapping[str, NodeDifference] = field(default_factory=dict)

    @property
    def is_valid(self) -> bool:
        return not self.errors


def validate_definition(document: Any, *, name: str = "") -> RecipeVerdict:
    """What creating or, with a `name`, editing that recipe type would say. Raises RecipeTypeNotFound. Saves nothing."""
    before = None
    if name:
        before = RecipeType.objects.filter(name=name).first()
        if before is None:
            raise RecipeTypeNotFound
    try:
        definition, warnings = _checked(document, name)
    except Invalid as error:
        return RecipeVerdict(errors=[error.finding])
    return RecipeVerdict(
        warnings=warnings, difference=difference(parse(before.definition) if before else None, definition)
    )


def create_recipe_type(
    *, title: str, definition: Any, description: str = "", is_active: bool = True, name: str = "", actor: User | None
) -> RecipeType:
    """Make a recipe type, named after its title unless a `name` is given, with its first revision.

    Raises InvalidRequest naming the field.
    """
    name = slugify(name or title)[:NAME_LENGTH].strip("-_")
    if not name or name in RESERVED:
        raise InvalidRequest("No name can be made of this.", field="title")
    with transaction.atomic():
        _keep_job_types(definition)
        read = _valid(definition, name)
        deprecated_at = None if is_active else timezone.now()
        values = {"title": title, "description": description, "is_active": is_active, "deprecated_at": deprecated_at}
        try:
            with transaction.atomic():
                made = RecipeType.objects.create(name=name, definition=read.document, **values)
        except IntegrityError:
            raise InvalidRequest(f"There is a recipe type named {name}.", field="title") from None
        _keep_revision(made, read)
        tell("recipe_type.created", made.pk, actor, facts_of(made))
    return made


def edit_recipe_type(
    name: str,
    *,
    actor: User | None,
    title: str | None = None,
    description: str | None = None,
    definition: Any = None,
    is_active: bool | None = None,
    auto_update: bool = True,
) -> RecipeVerdict:
    """Change what is given of a recipe type. A definition that differs makes a revision.

    `auto_update`: recipe types that contain it take that revision, too. One that is made active again is checked
    first. Raises RecipeTypeNotFound, InvalidRequest naming the field.
    """
    with transaction.atomic():
        if definition is not None:
            _keep_job_types(definition)
        row = RecipeType.objects.select_for_update(no_key=True).filter(name=name).first()
        if row is None:
            raise RecipeTypeNotFound
        if row.is_system:
            raise InvalidRequest("A recipe type of the system cannot be changed.", code="SYSTEM_RECIPE_TYPE")
        facts = facts_of(row)
        before = read = parse(row.definition)
        warnings: list[Finding] = []
        if definition is not None or (is_active and not row.is_active):
            read, warnings = _valid_with_warnings(row.definition if definition is None else definition, name)
        is_new = read.document != row.definition
        if is_new:
            row.definition, row.revision_num = read.document, row.revision_num + 1
            _keep_revision(row, read)
        row.title = row.title if title is None else title
        row.description = row.description if description is None else description
        row.modified_at = timezone.now()
        if is_active and not row.is_active:
            row.is_active, row.deprecated_at = True, None
        _tell_changes(row, facts, actor)
        if is_active is False and row.is_active:
            warnings = [*warnings, *_end(row, actor=actor)]
        row.save()
        if is_new and auto_update:
            above = RecipeType.objects.filter(nodes__sub_recipe_type=row)
            _spread({("recipe_type", name): row.revision_num}, above, actor=actor)
    return RecipeVerdict(warnings=warnings, difference=difference(before, read))


def facts_of(row: RecipeType) -> dict[str, Any]:
    """What may be said of a recipe type, as the event log has it; the definition is its revision's."""
    return {name: getattr(row, name) for name in ("name", "title", "description", "is_active", "revision_num")}


def _tell_changes(row: RecipeType, facts: Mapping[str, Any], actor: User | None) -> None:
    """Tell what is other than the `facts` of before."""
    before, after = differing(facts, facts_of(row))
    if after:
        told = {"name": row.name, "revision_num": row.revision_num, **after}
        tell("recipe_type.changed", row.pk, actor, told, before=before)


def _end(row: RecipeType, *, actor: User | None) -> list[Finding]:
    """Deactivate a recipe type; what to say of the others that are not active any more."""
    others = [each for each in _deactivate([row], actor=actor) if each != row.name]
    text = f"These recipe types are not active any more: {listed(others)}."
    return [Finding("DEPRECATED_RECIPES", text)] if others else []


# --- In step with job types ------------------------------------------------------------------------


def deactivate_containing(job_type: JobType, *, actor: User | None) -> list[str]:
    """Deactivate the active recipe types that contain a job type, and those that contain these. Returns their names.

    Caller holds the transaction in which the job type is deactivated.
    """
    rows = RecipeType.objects.filter(nodes__job_type=job_type, is_active=True).order_by("pk").distinct()
    return _deactivate(list(rows), actor=actor)


def repoint(job_type: JobType, *, actor: User | None) -> list[str]:
    """Let the active recipe types that contain a job type take its newest revision, and those that contain these.

    One whose definition would not be valid with it is left alone. Returns the names of those that have a new
    revision. Caller holds the transaction of the job type's edit.
    """
    news: News = {("job_type", job_type.name, job_type.version): job_type.revision_num}
    return _spread(news, RecipeType.objects.filter(nodes__job_type=job_type), actor=actor)


def _spread(news: News, holders: QuerySet[RecipeType], *, actor: User | None) -> list[str]:
    """Put new revisions into the active ones of `holders`, and theirs into those above. Returns the names, sorted.

    Each comes after those inside it, and so has one new revision however many it takes.
    """
    found: dict[int, RecipeType] = {}
    level = _locked(holders)
    while level:
        found |= {each.pk: each for each in level}
        above = _locked(RecipeType.objects.filter(nodes__sub_recipe_type__in=level))
        level = [each for each in above if each.pk not in found]
    changed = []
    for row in _upwards(found):
        if _take(row, news, actor=actor):
            news = {**news, ("recipe_type", row.name): row.revision_num}
            changed.append(row.name)
    return sorted(changed)


def _upwards(rows: Mapping[int, RecipeType]) -> list[RecipeType]:
    """The rows, each after those inside it."""
    nodes = RecipeTypeNode.objects.filter(recipe_type__in=rows, sub_recipe_type__in=rows)
    below: dict[int, list[int]] = {pk: [] for pk in rows}
    for holder, inner in nodes.values_list("recipe_type", "sub_recipe_type"):
        if inner is not None:
            below[holder].append(inner)
    order: list[RecipeType] = []
    seen: set[int] = set()

    def visit(pk: int) -> None:
        if pk not in seen:
            seen.add(pk)
            for inner in below[pk]:
                visit(inner)
            order.append(rows[pk])

    for pk in rows:
        visit(pk)
    return order


def _take(row: RecipeType, news: News, *, actor: User | None) -> bool:
    """Put new revisions into a definition wherever it names what they are of. True if it is another, and valid."""
    nodes = {
        name: {**given, "node_type": _renewed(given["node_type"], news)}
        for name, given in row.definition["nodes"].items()
    }
    document = {**row.definition, "nodes": nodes}
    if document == row.definition:
        return False
    try:
        read, _ = _checked(document, row.name)
    except Invalid:
        return False
    facts = facts_of(row)
    row.definition, row.modified_at = read.document, timezone.now()
    row.revision_num += 1
    row.save(update_fields=["definition", "revision_num", "modified_at"])
    _keep_revision(row, read)
    _tell_changes(row, facts, actor)
    return True


def _renewed(what: Mapping[str, Any], news: News) -> dict[str, Any]:
    match what["node_type"]:
        case "job":
            key: tuple[str, ...] = ("job_type", what["job_type_name"], what["job_type_version"])
        case "recipe":
            key = ("recipe_type", what["recipe_type_name"])
        case _:
            return dict(what)
    return {**what, f"{key[0]}_revision": news[key]} if key in news else dict(what)


def _locked(rows: QuerySet[RecipeType]) -> list[RecipeType]:
    """The active ones of these rows, locked in the order of their ids."""
    ids = list(rows.filter(is_active=True).order_by("pk").values_list("pk", flat=True).distinct())
    return list(RecipeType.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


def _deactivate(rows: Iterable[RecipeType], *, actor: User | None) -> list[str]:
    """Deactivate these recipe types and the active ones above them. Returns the names of those that were active."""
    found: dict[int, RecipeType] = {}
    waiting = list(rows)
    while waiting:
        found |= {each.pk: each for each in waiting}
        ids = [each.pk for each in waiting]
        above = RecipeType.objects.filter(nodes__sub_recipe_type__in=ids, is_active=True).order_by("pk").distinct()
        waiting = [each for each in above if each.pk not in found]
    now = timezone.now()
    for row in sorted(found.values(), key=lambda each: each.pk):
        row.is_active, row.deprecated_at, row.modified_at = False, now, now
        row.save(update_fields=["is_active", "deprecated_at", "modified_at"])
        told = {"name": row.name, "is_active": False}
        tell("recipe_type.deactivated", row.pk, actor, told, before={"is_active": True})
    return sorted(row.name for row in found.values())


# --- Definitions -----------------------------------------------------------------------------------


def _checked(document: Any, name: str) -> tuple[Definition, list[Finding]]:
    """The valid definition with every revision filled in, and what is to be said of it. Raises Invalid."""
    definition = parse(document)
    known = known_to(definition)
    warnings = check(definition, known, name=name)
    return parse(filled(definition, known)), warnings


def _valid_with_warnings(document: Any, name: str) -> tuple[Definition, list[Finding]]:
    """As `_checked`. Raises InvalidRequest naming the field."""
    try:
        return _checked(document, name)
    except Invalid as error:
        raise _refused(error) from None


def _refused(error: Invalid) -> InvalidDocument:
    return InvalidDocument(error.finding.name, error.finding.description, field="definition")


def _valid(document: Any, name: str) -> Definition:
    return _valid_with_warnings(document, name)[0]


def _keep_job_types(document: Any) -> None:
    """Keep the job types that a definition names as they are until the transaction ends, in the order of their ids.

    Before any recipe type is locked: who edits a job type locks them in that order, too.
    """
    try:
        refs = parse(document).job_types
    except Invalid as error:
        raise _refused(error) from None
    rows = JobType.objects.filter(name__in={r.name for r in refs}, version__in={r.version for r in refs})
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _keep_revision(row: RecipeType, read: Definition) -> None:
    """Leave the present definition as a revision, and note what its nodes hold."""
    RecipeTypeRevision.objects.create(recipe_type=row, revision_num=row.revision_num, definition=read.document)
    job_types = _ids(JobType, {(r.name, r.version) for r in read.job_types}, "name", "version")
    recipe_types = _ids(RecipeType, {(r.name,) for r in read.recipe_types}, "name")
    row.nodes.all().delete()
    nodes = []
    for node in read.nodes.values():
        if isinstance(node.what, JobTypeRef):
            job_type = job_types[node.what.name, node.what.version]
            nodes.append(RecipeTypeNode(recipe_type=row, name=node.name, job_type_id=job_type))
        elif isinstance(node.what, RecipeTypeRef):
            nodes.append(
                RecipeTypeNode(recipe_type=row, name=node.name, sub_recipe_type_id=recipe_types[(node.what.name,)])
            )
    RecipeTypeNode.objects.bulk_create(nodes)


def _ids(model: Any, keys: set[tuple[str, ...]], *fields: str) -> dict[tuple[str, ...], int]:
    """The ids of the rows with these keys."""
    chosen = {f"{name}__in": {key[place] for key in keys} for place, name in enumerate(fields)}
    return {tuple(row[:-1]): row[-1] for row in model.objects.filter(**chosen).values_list(*fields, "pk")}
