"""Job types: registered, edited, and judged before they are either.

JSON Schemas are run and secrets encrypted before the transaction is opened. An edit is planned on the row as it
was read and done only if the row is still so; otherwise it is planned anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict, Unpack, cast

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core.encryption import encrypt
from controlplane.core.errors import Conflict
from jobtypes.errors import InvalidDocument, SystemJobType
from jobtypes.models import Error, JobType, JobTypeRevision, JobTypeTag, SecretSetting
from jobtypes.queries import visible_job_types, workspaces_by_name
from jobtypes.seed.allocation import allocate
from jobtypes.seed.configuration import (
    Configuration,
    check_workspaces,
    read_configuration,
    split_secrets,
    warnings_of,
)
from jobtypes.seed.manifest import Manifest, read_manifest
from jobtypes.seed.verdicts import Finding, Invalid, listed
from jobtypes.seed.versions import sort_key
from jobtypes.services.recipe_types import deactivate_containing, repoint

# Words of the API's paths below /v6/job-types/.
RESERVED_NAMES: Final = frozenset({"validation", "status", "pending", "running", "system-failures"})
DEPRECATED_RECIPES: Final = "DEPRECATED_RECIPES"
HIDDEN: Final = "*****"

_ATTEMPTS: Final = 5
_TITLE_LENGTH: Final = 500
_SPECIAL_LENGTH: Final = 250
_GIVEN: Final = ("icon_code", "is_published", "is_active", "is_paused", "docker_image")
_TOLD: Final = (*_GIVEN, "max_scheduled", "configuration", "revision_num")


class Options(TypedDict, total=False):
    """What may be said of a job type beside image and manifest. A configuration of None or {} counts as not given.

    `max_scheduled` 0 or None: no cap. `auto_update`: recipes go over to the new revision; True if not given.
    """

    configuration: Any
    icon_code: str | None
    is_published: bool
    is_active: bool
    is_paused: bool
    max_scheduled: int | None
    auto_update: bool


class Wishes(Options, total=False):
    """All that may be said of a job type; what is not given stays as it is."""

    docker_image: str
    manifest: Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a job type: valid unless there are errors, of which the first is told only."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not self.errors


@dataclass(frozen=True, slots=True)
class Saved:
    """A job type that was created, or edited because there was one of this name and version."""

    job_type: JobType
    created: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Documents:
    """A manifest and a configuration that fit each other. `secrets`: encrypted, by the name of the setting."""

    manifest: Manifest
    configuration: dict[str, Any]
    secrets: Mapping[str, str]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """An edit as it was asked for, its documents read."""

    manifest: Manifest | None
    configuration: Configuration | None
    wishes: Wishes


# --- What others call ----------------------------------------------------------------------------


def create_job_type(*, actor: User | None, docker_image: str, manifest: Any, **options: Unpack[Options]) -> Saved:
    """Register a job type under its manifest's name and version; one that is there already is edited instead.

    Raises InvalidDocument for the manifest or the configuration, SystemJobType.
    """
    read = _read_manifest(manifest)
    configuration = _read_configuration(options.get("configuration"))
    wishes: Wishes = {"docker_image": docker_image, "manifest": manifest, **options}
    existing = JobType.objects.filter(name=read.name, version=read.version)
    found = existing.first()
    if found is None:
        documents = _fitted(read, configuration or Configuration())
        try:
            return Saved(_create(documents, wishes, actor), True, Verdict())
        except IntegrityError:
            # Somebody else was faster, so that this is an edit; otherwise it is something else that failed.
            found = existing.first()
            if found is None:
                raise
    edited, verdict = _edit(found.pk, _Given(read, configuration, wishes), actor)
    return Saved(edited, False, verdict)


def edit_job_type(job_type: JobType, *, actor: User | None, **wishes: Unpack[Wishes]) -> Verdict:
    """Change what is given of a job type, and bring `job_type` itself up to date.

    A manifest, even the same one, and another image make a revision; a configuration replaces the whole one.
    Raises InvalidDocument for the manifest or the configuration, SystemJobType, Conflict.
    """
    manifest = _read_manifest(wishes["manifest"]) if "manifest" in wishes else None
    configuration = _read_configuration(wishes.get("configuration"))
    _, verdict = _edit(job_type.pk, _Given(manifest, configuration, wishes), actor)
    job_type.refresh_from_db()
    return verdict


def check_documents(manifest: Any = None, configuration: Any = None) -> None:
    """Raise InvalidDocument for what is wrong with either by itself; None is not looked at."""
    if manifest is not None:
        _read_manifest(manifest)
    _read_configuration(configuration)


def validate_job_type(manifest: Any, configuration: Any = None, *, user: User) -> Verdict:
    """Whether a job type of these would be accepted, and what is worth a word. Saves nothing.

    Secrets that a job type of this name and version has already, if `user` sees it, count as given.
    """
    try:
        read = _read_manifest(manifest)
        given = _read_configuration(configuration) or Configuration()
        documents = _fitted(read, given)
        known = visible_job_types(user).filter(name=read.name, version=read.version)
        if known.filter(is_system=True).exists():
            raise InvalidDocument("JSON_VALIDATION_ERROR", "job.name: is that of a job type of the system", field="")
    except InvalidDocument as error:
        return Verdict(errors=(Finding(error.name, error.message),))
    stored = SecretSetting.objects.filter(job_type__in=known).values_list("name", flat=True)
    return Verdict(warnings=(*documents.warnings, *warnings_of(read, given, {*documents.secrets, *stored})))


def validate_edit(job_type: JobType, *, user: User, manifest: Any = None, configuration: Any = None) -> Verdict:
    """What editing a job type in this way would say; what is not given is what it has. Saves nothing."""
    try:
        given = None if manifest is None else _read_manifest(manifest)
        _documents_after(job_type, _Given(given, _read_configuration(configuration), {}))
    except InvalidDocument as error:
        return Verdict(errors=(Finding(error.name, error.message),))
    wanted = job_type.configuration if configuration is None else configuration
    return validate_job_type(job_type.manifest if manifest is None else manifest, wanted, user=user)


# --- Documents -----------------------------------------------------------------------------------


def _read_manifest(document: Any) -> Manifest:
    try:
        manifest = read_manifest(document)
    except Invalid as error:
        raise _refused(error) from None
    if manifest.name in RESERVED_NAMES:
        message = f"job.name: must be none of {', '.join(sorted(RESERVED_NAMES))}"
        raise InvalidDocument("JSON_VALIDATION_ERROR", message, field="manifest")
    return manifest


def _read_configuration(document: Any) -> Configuration | None:
    """None when it counts as not given."""
    if document is None or document == {}:
        return None
    try:
        return read_configuration(document)
    except Invalid as error:
        raise _refused(error) from None


def _fitted(manifest: Manifest, configuration: Configuration) -> _Documents:
    named = {configuration.default_workspace, *configuration.output_workspaces.values()} - {""}
    active = {name: each.is_active for name, each in workspaces_by_name(named).items()} if named else {}
    try:
        warnings = check_workspaces(manifest, configuration, active)
    except Invalid as error:
        raise _refused(error) from None
    shown, secrets = split_secrets(manifest, configuration)
    encrypted = {name: encrypt({"value": value}) for name, value in secrets.items()}
    return _Documents(manifest, shown.document(), encrypted, tuple(warnings))


def _refused(error: Invalid) -> InvalidDocument:
    return InvalidDocument(error.finding.name, error.finding.description, field=error.where)


# --- New ones ------------------------------------------------------------------------------------


def _create(documents: _Documents, wishes: Wishes, actor: User | None) -> JobType:
    now, manifest = timezone.now(), documents.manifest
    active, paused = wishes.get("is_active", True), wishes.get("is_paused", False)
    values = {
        **_columns(manifest),
        "configuration": documents.configuration,
        "icon_code": wishes.get("icon_code"),
        "docker_image": wishes["docker_image"],
        "is_published": wishes.get("is_published", False),
        "is_active": active,
        "is_paused": paused,
        "max_scheduled": wishes.get("max_scheduled") or None,
        "revision_num": 1,
    }
    with transaction.atomic():
        job_type = JobType.objects.create(
            name=manifest.name,
            version=manifest.version,
            version_key=sort_key(manifest.version),
            deprecated_at=None if active else now,
            paused_at=now if paused else None,
            created_at=now,
            modified_at=now,
            **values,
        )
        _add_revision(job_type, now)
        _keep_tags(job_type, manifest)
        _keep_errors(manifest, now)
        _keep_secrets(job_type, documents.secrets)
        told = {"name": manifest.name, "version": manifest.version, **_told(values, documents, with_secrets=True)}
        tell("job_type.created", job_type.pk, actor, told)
    return job_type


def _columns(manifest: Manifest) -> dict[str, Any]:
    """What a job type takes over from its manifest; what no place had is to be found out anew."""
    needs = allocate(manifest, 1 if manifest.input_files else 0)
    return {
        "manifest": manifest.document,
        "title": manifest.title[:_TITLE_LENGTH],
        "description": manifest.description,
        "special_resources": ",".join(needs.unknown)[:_SPECIAL_LENGTH],
        "unmet_resources": None,
    }


# --- Edits ---------------------------------------------------------------------------------------


def _edit(job_type_id: int, given: _Given, actor: User | None) -> tuple[JobType, Verdict]:
    """The job type as it is then, and what there is to say."""
    for _ in range(_ATTEMPTS):
        job_type = JobType.objects.get(pk=job_type_id)
        documents = _documents_after(job_type, given)
        changed = _changed(job_type, given, documents)
        if not changed and not (documents and documents.secrets):
            return job_type, Verdict()
        with transaction.atomic():
            locked = JobType.objects.select_for_update(no_key=True).only("modified_at").get(pk=job_type_id)
            if locked.modified_at == job_type.modified_at:
                return job_type, Verdict(warnings=_do(job_type, changed, given, documents, actor))
    raise Conflict("This job type is being edited by others; ask again.")


def _documents_after(job_type: JobType, given: _Given) -> _Documents | None:
    """The documents after the edit, what is stored taking the place of what is not given; None if neither is."""
    manifest, configuration = given.manifest, given.configuration
    if job_type.is_system and set(given.wishes) - {"is_paused"}:
        raise SystemJobType
    if manifest is None and configuration is None:
        return None
    if manifest is not None and (manifest.name, manifest.version) != (job_type.name, job_type.version):
        message = f"job.name and job.jobVersion: must stay {job_type.name} and {job_type.version}"
        raise InvalidDocument("JSON_VALIDATION_ERROR", message, field="manifest")
    if configuration is None:
        configuration = _read_configuration(job_type.configuration) or Configuration()
    return _fitted(manifest or _read_manifest(job_type.manifest), configuration)


def _changed(job_type: JobType, given: _Given, documents: _Documents | None) -> dict[str, Any]:
    """The columns that get another value; a manifest that is given counts as another one."""
    wanted: dict[str, Any] = {name: value for name, value in given.wishes.items() if name in _GIVEN}
    if "max_scheduled" in given.wishes:
        wanted["max_scheduled"] = given.wishes["max_scheduled"] or None
    if documents is not None:
        wanted["configuration"] = documents.configuration
    changed = {name: value for name, value in wanted.items() if value != getattr(job_type, name)}
    if given.manifest is not None:
        changed |= _columns(given.manifest)
    if given.manifest is not None or "docker_image" in changed:
        changed["revision_num"] = job_type.revision_num + 1
    return changed


def _do(
    job_type: JobType, changed: dict[str, Any], given: _Given, documents: _Documents | None, actor: User | None
) -> tuple[Finding, ...]:
    """Write a planned edit, and return its warnings. Caller holds the transaction and the row's lock."""
    now = timezone.now()
    before = _told({name: getattr(job_type, name) for name in changed}, documents)
    changed = {**changed, **_moments(changed, now), "modified_at": now}
    for name, value in changed.items():
        setattr(job_type, name, value)
    job_type.save(update_fields=list(changed))
    if given.manifest is not None:
        _keep_tags(job_type, given.manifest)
        _keep_errors(given.manifest, now)
    if documents is not None:
        _keep_secrets(job_type, documents.secrets)
    tell("job_type.edited", job_type.pk, actor, _told(changed, documents, with_secrets=True), before=before)
    if "revision_num" in changed:
        _add_revision(job_type, now)
        if given.wishes.get("auto_update", True):
            repoint(job_type, actor=actor)
    recipes = deactivate_containing(job_type, actor=actor) if changed.get("is_active") is False else []
    return (_deprecated(recipes),) if recipes else ()


def _moments(changed: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Since when it is deprecated or paused."""
    found = {}
    if "is_active" in changed:
        found["deprecated_at"] = None if changed["is_active"] else now
    if "is_paused" in changed:
        found["paused_at"] = now if changed["is_paused"] else None
    return found


def _deprecated(recipes: Collection[str]) -> Finding:
    return Finding(DEPRECATED_RECIPES, f"Recipe types that hold it are inactive from now on: {listed(recipes)}.")


# --- What belongs to a job type ------------------------------------------------------------------


def _add_revision(job_type: JobType, now: datetime) -> None:
    JobTypeRevision.objects.create(
        job_type=job_type,
        revision_num=job_type.revision_num,
        manifest=job_type.manifest,
        docker_image=job_type.docker_image,
        created_at=now,
    )


def _keep_tags(job_type: JobType, manifest: Manifest) -> None:
    wanted = set(manifest.tags)
    kept = set(job_type.tags.values_list("tag", flat=True)) if job_type.revision_num > 1 else set()
    if kept - wanted:
        job_type.tags.filter(tag__in=kept - wanted).delete()
    JobTypeTag.objects.bulk_create([JobTypeTag(job_type=job_type, tag=tag) for tag in sorted(wanted - kept)])


def _keep_errors(manifest: Manifest, now: datetime) -> None:
    """The manifest's errors, for all versions of the name. Those that it has no more stay: jobs failed with them."""
    told = ("title", "description", "category")
    found = Error.objects.filter(job_type_name=manifest.name, name__in=[each.name for each in manifest.errors])
    kept = {row.name: tuple(getattr(row, name) for name in told) for row in found} if manifest.errors else {}
    changed = [
        Error(job_type_name=manifest.name, name=each.name, modified_at=now, **values)
        for each in manifest.errors
        if tuple((values := {name: getattr(each, name) for name in told}).values()) != kept.get(each.name)
    ]
    if changed:
        Error.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["job_type_name", "name"],
            update_fields=[*told, "modified_at"],
        )


def _keep_secrets(job_type: JobType, secrets: Mapping[str, str]) -> None:
    """Beside those that are stored already."""
    if secrets:
        SecretSetting.objects.bulk_create(
            [SecretSetting(job_type=job_type, name=name, value=value) for name, value in secrets.items()],
            update_conflicts=True,
            unique_fields=["job_type", "name"],
            update_fields=["value"],
        )


def facts_of(job_type: JobType) -> dict[str, Any]:
    """What may be said of a job type, as the event log has it; the manifest is its revision's."""
    return {name: getattr(job_type, name) for name in ("name", "version", *_TOLD)}


def _told(values: Mapping[str, Any], documents: _Documents | None, *, with_secrets: bool = False) -> dict[str, Any]:
    """The columns of `values` for the event log, which gets to know of secrets only that they were given."""
    told = {name: values[name] for name in _TOLD if name in values}
    secret = {each.name for each in documents.manifest.settings if each.secret} if documents else set()
    if "configuration" in told:
        settings = cast(dict[str, str], told["configuration"].get("settings", {}))
        hidden = {name: HIDDEN if name in secret else value for name, value in settings.items()}
        told["configuration"] = {**told["configuration"], "settings": hidden}
    if with_secrets and documents and documents.secrets:
        told["secrets"] = sorted(documents.secrets)
    return told
