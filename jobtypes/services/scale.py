"""Taking over what a Scale v6 system has: once, and again without changing what is the same.

Numbers of revisions are kept, since recipe types name them. What was edited here since is left alone; for all else
that system's word holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from accounts.events import tell
from controlplane.core.errors import InvalidRequest
from controlplane.core.importing import Outcome, Report
from jobtypes.errors import InvalidDocument
from jobtypes.models import Error, JobType, JobTypeRevision, RecipeType, RecipeTypeRevision, Workspace
from jobtypes.queries.recipe_types import known_to
from jobtypes.recipe.checks import filled
from jobtypes.recipe.definition import parse
from jobtypes.scale import Row, ScaleJobType, ScaleRecipeType, ScaleRevision, ScaleSystem
from jobtypes.seed.verdicts import Invalid, listed
from jobtypes.services.errors import create_error, update_error
from jobtypes.services.job_types import Options, check_documents, create_job_type, edit_job_type
from jobtypes.services.recipe_types import create_recipe_type, edit_recipe_type
from jobtypes.services.workspaces import create_workspace

# What a broker of Scale's has that ours does not take: credentials belong to the operator, and a bucket is not mounted.
_NOT_TAKEN: Final = ("credentials", "host_path")
_FLAGS: Final = ("is_published", "is_active", "is_paused")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a thing, why, and what of it was not taken."""

    outcome: Outcome
    why: str = ""
    left: tuple[str, ...] = ()


def take_system(system: ScaleSystem, report: Report, *, dry_run: bool = False) -> None:
    """All of a system, each thing in a transaction of its own; what is refused fails alone.

    A dry run does it all in one transaction that is not kept: nothing but doing it says what doing it would come to,
    since a recipe type is judged by its job types.
    """
    with transaction.atomic() if dry_run else nullcontext():
        for row in system.workspaces:
            _one(report, "workspace", str(row["name"]), partial(take_workspace, row=row, makes_folder=not dry_run))
        for row in system.errors:
            if not row.get("is_builtin") and not row.get("job_type_name"):  # we have our own, and a manifest brings its
                _one(report, "error", str(row["name"]), partial(take_error, row=row))
        for job_type in system.job_types:
            _one(report, "job type", job_type.name, partial(take_job_type, found=job_type))
        for recipe_type in system.recipe_types:
            _one(report, "recipe type", recipe_type.name, partial(take_recipe_type, found=recipe_type))
        if dry_run:
            transaction.set_rollback(True)


def _one(report: Report, noun: str, name: str, take: Callable[[], Taken]) -> None:
    with report.attempt(noun, name):
        with transaction.atomic():
            taken = take()
        report.tell(taken.outcome, noun, name, taken.why)
        for each in taken.left:
            report.tell(Outcome.LEFT, f"part of a {noun}", name, each)


def take_workspace(*, row: Row, makes_folder: bool = True) -> Taken:
    """A workspace without its credentials; one of that name that is here stays as it is. Raises InvalidRequest."""
    if Workspace.objects.filter(name=row["name"]).exists():
        return Taken(Outcome.KEPT)
    configuration = row.get("configuration")
    broker = configuration.get("broker") if isinstance(configuration, dict) else None
    if not isinstance(broker, dict):
        return Taken(Outcome.LEFT, "its configuration is not told; make one of this name, and import again")
    unwanted = _NOT_TAKEN if broker.get("type") == "s3" else _NOT_TAKEN[:1]
    gone = sorted(name for name in unwanted if broker.get(name))
    create_workspace(
        name=row["name"],
        title=_text(row, "title") or row["name"],
        description=_text(row, "description"),
        base_url=_text(row, "base_url"),
        is_active=row.get("is_active") is not False,
        configuration={"broker": {name: value for name, value in broker.items() if name not in unwanted}},
        actor=None,
        makes_folder=makes_folder,
    )
    return Taken(Outcome.NEW, left=tuple(f"{name}: set them by PATCH /v6/workspaces/{row['name']}/" for name in gone))


def take_error(*, row: Row) -> Taken:
    """An error that staff have named; those of manifests come with their job types. Raises InvalidRequest."""
    values: dict[str, Any] = {
        "title": row["title"],
        "description": _text(row, "description"),
        "category": row["category"],
        "should_be_retried": row.get("should_be_retried") is True,
    }
    found = Error.objects.filter(job_type_name="", name=row["name"]).first()
    if found is None:
        create_error(name=row["name"], actor=None, **values)
        return Taken(Outcome.NEW)
    if found.is_builtin:
        return Taken(Outcome.KEPT)
    if all(getattr(found, name) == value for name, value in values.items()):
        return Taken(Outcome.KEPT)
    update_error(found, actor=None, **values)
    return Taken(Outcome.CHANGED, "says something else now")


# --- Job types -----------------------------------------------------------------------------------


def take_job_type(*, found: ScaleJobType) -> Taken:
    """A job type with all its revisions, its configuration and its switches. Raises InvalidDocument.

    A setting that the manifest calls secret is told by nobody, and so is left.
    """
    row, present = found.row, found.revisions[-1]
    if row.get("is_system"):
        return Taken(Outcome.LEFT, "it is of that system itself")
    wishes = _wishes(row)
    with transaction.atomic():
        here = JobType.objects.filter(name=row["name"], version=row["version"]).first()
        if here is None:
            saved = create_job_type(docker_image=present.image, manifest=present.document, actor=None, **wishes)
            left = _keep_earlier_manifests(saved.job_type, found.revisions)
            return Taken(Outcome.NEW, left=(*left, *_secrets(saved.job_type)))
        return _renewed(here, found.revisions, wishes)


def _wishes(row: Row) -> Options:
    wishes: Options = {"configuration": row.get("configuration"), "auto_update": False}
    for flag in _FLAGS:
        if isinstance(row.get(flag), bool):
            wishes[flag] = row[flag]
    if isinstance(row.get("icon_code"), str):
        wishes["icon_code"] = row["icon_code"]
    if isinstance(row.get("max_scheduled"), int):
        wishes["max_scheduled"] = row["max_scheduled"]
    return wishes


def _renewed(here: JobType, revisions: Sequence[ScaleRevision], wishes: Options) -> Taken:
    """Bring a job type that is here up to date."""
    present = revisions[-1]
    rows = here.revisions.values_list("revision_num", "manifest", "docker_image")
    known = {number: (manifest, image) for number, manifest, image in rows}
    wanted = (present.document, present.image)
    if known[here.revision_num] == wanted:
        before = here.modified_at
        edit_job_type(here, actor=None, **wishes)
        changed = here.modified_at != before
        return Taken(Outcome.CHANGED, "its configuration or its switches") if changed else Taken(Outcome.KEPT)
    if wanted in known.values():
        return Taken(Outcome.LEFT, f"it was edited here since, and is at revision {here.revision_num}")
    goes_on = known[here.revision_num] in [(each.document, each.image) for each in revisions]
    edit_job_type(here, actor=None, docker_image=present.image, manifest=present.document, **wishes)
    left = _keep_earlier_manifests(here, revisions) if goes_on and present.number >= here.revision_num else ()
    return Taken(Outcome.CHANGED, f"it is at revision {here.revision_num} now", left)


def _keep_earlier(
    row: JobType | RecipeType, revisions: Sequence[ScaleRevision], revision_of: Callable[[ScaleRevision], Model | str]
) -> tuple[str, ...]:
    """Give the newest revision the number that it has there, and keep those between; what cannot be kept is returned.

    `revision_of` makes one of the revisions, or says what is against it. Caller holds the transaction in which the
    newest one was made.
    """
    made, number = row.revision_num, revisions[-1].number
    kept: list[Any] = []
    left = []
    for each in revisions[:-1]:
        if made <= each.number < number:
            revision = revision_of(each)
            if isinstance(revision, str):
                left.append(f"revision {each.number}: {revision}")
            else:
                kept.append(revision)
    row.revisions.filter(revision_num=made).update(revision_num=number)
    row.revisions.bulk_create(kept)
    row.revision_num = number
    row.save(update_fields=["revision_num"])
    return tuple(left)


def _keep_earlier_manifests(job_type: JobType, revisions: Sequence[ScaleRevision]) -> tuple[str, ...]:
    made, number = job_type.revision_num, revisions[-1].number
    if number == made:
        return ()

    def revision_of(each: ScaleRevision) -> JobTypeRevision | str:
        try:
            check_documents(manifest=each.document)
        except InvalidDocument as error:
            return error.message
        values = {"manifest": each.document, "docker_image": each.image, "created_at": timezone.now()}
        return JobTypeRevision(job_type=job_type, revision_num=each.number, **values)

    left = _keep_earlier(job_type, revisions, revision_of)
    tell("job_type.edited", job_type.pk, None, {"revision_num": number}, before={"revision_num": made})
    return left


def _secrets(job_type: JobType) -> tuple[str, ...]:
    settings = job_type.manifest["job"].get("interface", {}).get("settings", [])
    names = sorted(each["name"] for each in settings if each.get("secret"))
    return (f"the values of {listed(names)}, which are secret: set them by PATCH",) if names else ()


# --- Recipe types --------------------------------------------------------------------------------


def take_recipe_type(*, found: ScaleRecipeType) -> Taken:
    """A recipe type with all its revisions; those inside it have to be here. Raises InvalidRequest."""
    row, present = found.row, found.revisions[-1]
    if row.get("is_system"):
        return Taken(Outcome.LEFT, "it is of that system itself")
    active = row.get("is_active") is not False
    texts = {"title": row["title"], "description": _text(row, "description")}
    with transaction.atomic():
        here = RecipeType.objects.filter(name=found.name).first()
        if here is None:
            try:
                made = create_recipe_type(
                    name=found.name, definition=present.document, is_active=active, actor=None, **texts
                )
            except InvalidRequest as error:
                if active:
                    raise
                return Taken(Outcome.LEFT, f"it is not active there, and {error.message}")
            return Taken(Outcome.NEW, left=_keep_earlier_definitions(made, found.revisions))
        return _renewed_recipe_type(here, found.revisions, {**texts, "is_active": active})


def _renewed_recipe_type(here: RecipeType, revisions: Sequence[ScaleRevision], values: Mapping[str, Any]) -> Taken:
    known = dict(here.revisions.values_list("revision_num", "definition"))
    wanted, present = _as_kept(revisions[-1].document), revisions[-1]
    if known[here.revision_num] == wanted:
        if all(getattr(here, name) == value for name, value in values.items()):
            return Taken(Outcome.KEPT)
        edit_recipe_type(here.name, actor=None, auto_update=False, **values)
        return Taken(Outcome.CHANGED, "its title, its description or its switch")
    if wanted in known.values():
        return Taken(Outcome.LEFT, f"it was edited here since, and is at revision {here.revision_num}")
    goes_on = known[here.revision_num] in [_as_kept(each.document) for each in revisions]
    edit_recipe_type(here.name, definition=present.document, actor=None, auto_update=False, **values)
    here.refresh_from_db()
    left = _keep_earlier_definitions(here, revisions) if goes_on and present.number >= here.revision_num else ()
    return Taken(Outcome.CHANGED, f"it is at revision {here.revision_num} now", left)


def _as_kept(document: Any) -> Any:
    """A definition as it is kept, with its revisions filled in; as it is where it cannot be."""
    try:
        definition = parse(document)
        return filled(definition, known_to(definition))
    except (Invalid, KeyError):
        return document


def _keep_earlier_definitions(recipe_type: RecipeType, revisions: Sequence[ScaleRevision]) -> tuple[str, ...]:
    number = revisions[-1].number
    if number == recipe_type.revision_num:
        return ()

    def revision_of(each: ScaleRevision) -> RecipeTypeRevision | str:
        try:
            parse(each.document)
        except Invalid as error:
            return error.finding.description
        document = _as_kept(each.document)
        return RecipeTypeRevision(recipe_type=recipe_type, revision_num=each.number, definition=document)

    left = _keep_earlier(recipe_type, revisions, revision_of)
    tell("recipe_type.changed", recipe_type.pk, None, {"name": recipe_type.name, "revision_num": number})
    return left


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
