"""Workspaces: making, changing and trying them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts.events import tell
from accounts.models import User
from controlplane.core.connections import give_back
from controlplane.core.encryption import encrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from controlplane.core.storage import (
    Broker,
    HostBroker,
    StorageError,
    StorageUnavailable,
    masked,
    merge_secrets,
    open_storage,
    read_broker,
)
from jobtypes.models import Workspace
from jobtypes.queries import WORKSPACE_NAME, workspace_configuration
from jobtypes.seed.documents import find_fault
from jobtypes.seed.verdicts import Finding
from jobtypes.services.job_types import Verdict

MAX_CONFIGURATION_BYTES: Final = 64 * 1024
RESERVED: Final = frozenset({"validation"})  # words that stand in the place of a name in paths
FOLDER_MODE: Final = 0o750
_SLUG_LENGTH: Final = 30
_TEXTS: Final = ("title", "description", "base_url")


def create_workspace(
    *,
    title: str,
    configuration: Any,
    actor: User | None,
    name: str = "",
    description: str = "",
    base_url: str = "",
    is_active: bool = True,
    makes_folder: bool = True,
) -> Workspace:
    """Make a workspace; without a `name` it gets one from its title. Nothing is asked of its storage.

    Raises InvalidRequest naming the field. A folder in DATA_DIR/workspaces is made unless that is not wanted, any
    other has to be there.
    """
    if name:
        _check_name(name)
    broker = _read(configuration)
    if makes_folder:
        _make_folder(broker)
    now = timezone.now()
    workspace = Workspace(
        name=name or _name_of(title),
        title=title,
        description=description,
        base_url=base_url,
        broker=_sealed(configuration),
        is_active=is_active,
        created_at=now,
        modified_at=now,
        deprecated_at=None if is_active else now,
    )
    told = {**_facts(workspace), "configuration": masked(configuration)}
    try:
        with transaction.atomic():
            workspace.save(force_insert=True)
            tell("workspace.created", workspace.pk, actor, told)
    except IntegrityError:
        raise _taken() from None
    return workspace


def edit_workspace(workspace: Workspace, *, actor: User | None, **values: Any) -> Workspace:
    """Change title, description, base_url, is_active or configuration; a masked secret stays what it is.

    Raises InvalidRequest naming the field.
    """
    old = workspace_configuration(workspace) or {}
    given: dict[str, Any] = {name: values[name] for name in (*_TEXTS, "is_active") if name in values}
    sealed: dict[str, Any] = {}
    was: dict[str, Any] = {}
    then: dict[str, Any] = {}
    if "configuration" in values:
        configuration = _merged(values["configuration"], old)
        _make_folder(_read(configuration))
        sealed["broker"] = _sealed(configuration)
        if configuration != old:  # also when it is a secret alone that is other
            was["configuration"], then["configuration"] = masked(old), masked(configuration)
    now = timezone.now()
    with transaction.atomic():
        locked = _facts(Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk))
        before, after = differing(locked, {**locked, **given})
        if "is_active" in after:
            given["deprecated_at"] = None if after["is_active"] else now
        changed = {**given, **sealed, "modified_at": now}
        for name, value in changed.items():
            setattr(workspace, name, value)
        workspace.save(update_fields=list(changed))
        if after or then:
            tell("workspace.edited", workspace.pk, actor, after | then, before=before | was)
    return workspace


def facts_of(workspace: Workspace) -> dict[str, Any]:
    """What may be said of a workspace, as the event log has it: its secrets masked."""
    configuration = workspace_configuration(workspace)
    return {**_facts(workspace), "configuration": None if configuration is None else masked(configuration)}


def _facts(workspace: Workspace) -> dict[str, Any]:
    return {name: getattr(workspace, name) for name in ("name", *_TEXTS, "is_active")}


def validate_workspace(*, configuration: Any, name: str = "") -> Verdict:
    """What keeps a workspace from being made, or from working: its storage is written to, read and cleaned.

    Saves nothing. Call it outside transactions, since it asks the storage.
    """
    try:
        if name:
            _check_name(name)
            if Workspace.objects.filter(name=name).exists():
                raise _taken()
    except InvalidRequest as error:
        return Verdict(errors=(_invalid(error),))
    return _tried(configuration)


def check_workspace(workspace: Workspace, configuration: Any = None) -> Verdict:
    """What keeps a workspace from working as it is, or with another configuration, as `edit_workspace` takes it.

    Its storage is written to, read and cleaned. Saves nothing. Call it outside transactions.
    """
    stored = workspace_configuration(workspace)
    if configuration is not None:
        try:
            return _tried(_merged(configuration, stored or {}))
        except InvalidRequest as error:
            return Verdict(errors=(_invalid(error),))
    if stored is None:
        return Verdict(errors=(Finding("UNREADABLE_CONFIGURATION", "No present key reads the stored configuration."),))
    return _tried(stored, is_made=True)


def _tried(configuration: Any, *, is_made: bool = False) -> Verdict:
    """`is_made`: its folder has to be there already, also where it would be ours to make."""
    finding = None
    try:
        broker = _read(configuration)
        if is_made or _to_be_made(broker) is None:
            give_back()
            open_storage(configuration, **_allowed()).check()
    except InvalidRequest as error:
        finding = _invalid(error)
    except StorageUnavailable as error:
        finding = Finding("WORKSPACE_UNREACHABLE", error.message)
    except StorageError as error:
        finding = Finding("WORKSPACE_REFUSED", error.message)
    return Verdict(errors=() if finding is None else (finding,))


def _invalid(error: InvalidRequest) -> Finding:
    if error.field == "name":
        return Finding("INVALID_NAME", error.message)
    return Finding("INVALID_CONFIGURATION", f"{error.field}: {error.message}")


# --- Names ---------------------------------------------------------------------------------------


def _check_name(name: str) -> None:
    if not WORKSPACE_NAME.fullmatch(name):
        message = "A name is 1 to 50 letters, digits, - and _, begins with a letter or digit, and is no number."
        raise InvalidRequest(message, field="name")
    if name in RESERVED:
        raise InvalidRequest("This word has another meaning in paths.", field="name")


def _taken() -> InvalidRequest:
    return InvalidRequest("There is a workspace of this name.", field="name")


def _name_of(title: str) -> str:
    """The slug of the title, as Scale makes it; with something random behind it when it is taken."""
    slug = slugify(title).replace("_", "-")[:_SLUG_LENGTH].strip("-")
    if not WORKSPACE_NAME.fullmatch(slug):  # the title is a number, or of other letters than Latin ones
        slug = f"workspace-{slug}".rstrip("-")
    taken = slug in RESERVED or Workspace.objects.filter(name=slug).exists()
    return f"{slug}-{secrets.token_hex(4)}" if taken else slug


# --- Configurations ------------------------------------------------------------------------------


def _allowed() -> dict[str, list[str]]:
    return {"allowed_roots": settings.WORKSPACE_ROOTS, "allowed_endpoints": settings.STORAGE_ENDPOINTS}


def _read(configuration: Any) -> Broker:
    """Raises InvalidRequest with a field that begins with `configuration`."""
    if fault := find_fault(configuration, max_bytes=MAX_CONFIGURATION_BYTES):
        field = f"configuration.{fault.path}" if fault.path else "configuration"
        raise InvalidRequest(f"This {fault.rule}.", field=field)
    return read_broker(configuration, **_allowed())


def _merged(new: Any, old: Mapping[str, Any]) -> Any:
    return merge_secrets(new, old) if isinstance(new, dict) else new


def _sealed(configuration: Mapping[str, Any]) -> str:
    return encrypt({"broker": json.dumps(configuration["broker"], separators=(",", ":"), ensure_ascii=False)})


def _to_be_made(broker: Broker) -> Path | None:
    """The folder, where it is not there yet and ours to make. Anywhere else it may be a disk that is not mounted."""
    if not isinstance(broker, HostBroker):
        return None
    folder, ours = Path(broker.host_path), (settings.DATA_DIR / "workspaces").resolve()
    return folder if folder.is_relative_to(ours) and not folder.exists() else None


def _make_folder(broker: Broker) -> None:
    folder = _to_be_made(broker)
    if folder is None:
        return
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        message = f"This folder cannot be made: {error.strerror}."
        raise InvalidRequest(message, field="configuration.broker.host_path") from error
