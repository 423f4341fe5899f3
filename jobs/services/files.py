"""Files in workspaces: registering what is there, uploading, describing, deleting."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import access
from accounts.events import Entry, record
from accounts.models import Customer, Role, User
from controlplane.core.connections import give_back
from controlplane.core.errors import Forbidden, InvalidRequest
from controlplane.core.storage import NoSuchFile, Storage, StorageError, Stored, TooBig, checked_path
from controlplane.core.storage.base import DEFAULT_MEDIA_TYPE, Measure
from jobs.errors import FileDeleted, FileExists
from jobs.models import File
from jobs.services.descriptions import checked_description
from jobtypes.models import Workspace
from jobtypes.queries import storage_of

logger = logging.getLogger("jobs.files")
OF_JOBS: Final = "jobs/"  # below it in every workspace lies what jobs have put out
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Python's own table without this machine's, so that all machines guess alike.
_GUESSES: Final = mimetypes.MimeTypes()
_GUESSES.add_type("application/geo+json", ".geojson")
_PACKED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


def max_upload_bytes() -> int:
    return int(settings.MAX_UPLOAD_MIB) * 2**20


def guess_media_type(name: str) -> str:
    """By the name's ending; of what it says nothing, application/octet-stream."""
    kind, packed = _GUESSES.guess_type(f"/{name}")
    if packed:
        return _PACKED.get(packed, DEFAULT_MEDIA_TYPE)
    return kind or DEFAULT_MEDIA_TYPE


def shown_media_type(file: File) -> str:
    """The file's media type where it can stand in a header; those of jobs' outputs are as manifests have them."""
    return file.media_type if _MEDIA_TYPE.fullmatch(file.media_type) else DEFAULT_MEDIA_TYPE


# --- Registering ---------------------------------------------------------------------------------


def measure_file(workspace: Workspace, path: str, sha256: str = "") -> Stored:
    """Size and SHA-256 of a file that is in the workspace already; without `sha256` it is read for that.

    Raises InvalidRequest naming the field, StorageError. Call it outside transactions, since it asks the storage.
    """
    checked_path(path)
    if sha256 and not _SHA256.fullmatch(sha256):
        raise InvalidRequest("This is 64 hexadecimal digits in small letters.", field="sha256")
    storage = storage_of(workspace)
    give_back()
    try:
        size = storage.stat(path).size
        if sha256:
            return Stored(size, sha256)
        measure = Measure(max_upload_bytes())
        for _ in measure.through(storage.get(path)):
            pass
    except NoSuchFile as error:
        raise InvalidRequest("There is no such file in this workspace.", field="path") from error
    except TooBig as error:
        message = f"Files of more than {settings.MAX_UPLOAD_MIB} MiB are not read here: give it yourself."
        raise InvalidRequest(message, field="sha256") from error
    return measure.stored()


def register_file(
    *,
    actor: User,
    workspace: Workspace,
    path: str,
    media_type: str = "",
    customer: str | None = None,
    stored: Stored | None = None,
    **description: Any,
) -> File:
    """Make a file known that is in the workspace already. For staff: whoever names a path gets what is there.

    `stored` is what `measure_file` says, asked here when not given. `description` as in `checked_description`.
    Raises InvalidRequest naming the field, FileExists, Forbidden, StorageError.
    """
    access.demand(actor, "files", access.CHANGE)
    file = _new_file(actor, workspace, path, media_type, customer, description)
    found = stored or measure_file(workspace, path)
    file.size, file.sha256 = found.size, found.sha256
    with transaction.atomic():
        _insert(file)
        record([_entry("file.registered", file, actor)])
    return file


# --- Uploading -----------------------------------------------------------------------------------


def upload_file(
    *,
    actor: User,
    workspace: Workspace,
    path: str,
    source: Iterable[bytes],
    media_type: str = "",
    customer: str | None = None,
    **description: Any,
) -> File:
    """Store the bytes of `source` at a free path. Row and object are there complete, or neither.

    No database connection is held while bytes flow. What `source` raises goes through. Raises InvalidRequest
    naming the field, FileExists, TooBig, Forbidden, StorageError.
    """
    access.demand(actor, "files", access.CHANGE, owner_id=actor.pk)
    file = _new_file(actor, workspace, path, media_type, customer, description)
    if path.startswith(OF_JOBS):
        raise InvalidRequest(f"Below {OF_JOBS} lies what jobs put out; choose another path.", field="path")
    if File.objects.filter(workspace=workspace, path=path, deleted_at=None).exists():
        raise FileExists(field="path")
    storage = storage_of(workspace)
    give_back()
    if _is_there(storage, path):
        raise FileExists("There is a file at this path already, though nobody has registered it.", field="path")
    try:
        chunks = _claiming(file, source)
        storage.put(path, chunks, media_type=file.media_type, max_bytes=max_upload_bytes())
    except BaseException:
        if file.pk is not None:
            _withdraw(storage, file)
        raise
    record([_entry("file.uploaded", file, actor)])
    return file


def _claiming(file: File, source: Iterable[bytes]) -> Iterator[bytes]:
    """`source` itself; behind its last byte, and before the storage shows anything, the row is made.

    So of two uploads to one path the database lets one through, and the other's bytes never get there. After
    a crash in this moment there is a row without its object: it can be deleted.
    """
    measure = Measure()
    yield from measure.through(source)
    stored = measure.stored()
    file.size, file.sha256 = stored.size, stored.sha256
    _insert(file)
    give_back()


def _withdraw(storage: Storage, file: File) -> None:
    """The storage has failed at the very end, and may have kept the object or not: neither stays."""
    try:
        storage.delete(file.path)
    except StorageError as error:
        logger.warning("%s may be left behind in the workspace %s: %s", file.path, file.workspace.name, error.message)
    File.objects.filter(pk=file.pk).delete()


def _is_there(storage: Storage, path: str) -> bool:
    try:
        storage.stat(path)
    except NoSuchFile:
        return False
    return True


# --- Describing and deleting -----------------------------------------------------------------------


def edit_file(file: File, *, actor: User, media_type: str = "", **description: Any) -> File:
    """Say something else of a file. Raises InvalidRequest naming the field, FileDeleted."""
    if file.deleted_at is not None:
        raise FileDeleted
    changed = checked_description(description, now=file)
    if media_type:
        changed["media_type"] = _checked_media_type(media_type)
    changed = {name: value for name, value in changed.items() if value != getattr(file, name)}
    with transaction.atomic():
        for name, value in {**changed, "modified_at": timezone.now()}.items():
            setattr(file, name, value)
        file.save(update_fields=[*changed, "modified_at"])
        record([_entry("file.edited", file, actor, {"changed": sorted(changed)})])
    return file


def delete_file(file: File, *, actor: User) -> None:
    """Delete the object; the row stays and says since when. Done again, it tries the object again.

    Raises StorageError: then the row is deleted all the same, and the object is left for the next call.
    """
    now = timezone.now()
    with transaction.atomic():
        live = File.objects.filter(pk=file.pk, deleted_at=None)
        if live.update(deleted_at=now, modified_at=now):
            record([_entry("file.deleted", file, actor)])
        elif File.objects.filter(workspace=file.workspace_id, path=file.path, deleted_at=None).exists():
            return  # the path is another file's by now
    storage = storage_of(file.workspace)
    give_back()
    storage.delete(file.path)


# --- Rows ----------------------------------------------------------------------------------------


def _new_file(
    actor: User,
    workspace: Workspace,
    path: str,
    media_type: str,
    customer: str | None,
    description: Mapping[str, Any],
) -> File:
    """A row that is not in the database yet, without size and hash."""
    name = checked_path(path).rpartition("/")[2]
    if not workspace.is_active:
        raise InvalidRequest("This workspace takes no new files.", field="workspace")
    return File(
        workspace=workspace,
        path=path,
        name=name,
        media_type=_checked_media_type(media_type) if media_type else guess_media_type(name),
        owner=actor,
        customer_id=_customer_id(actor, customer),
        **checked_description(description),
    )


def _customer_id(actor: User, name: str | None) -> int | None:
    """Whose the file is to be: a customer's own; the one that staff name, or nobody's but theirs."""
    if actor.role == Role.CUSTOMER:
        if name is not None and (actor.customer is None or actor.customer.name != name):
            raise Forbidden("Your files are those of your own customer.", field="customer")
        return actor.customer_id
    if name is None:
        return None
    found = Customer.objects.filter(name=name).values_list("pk", flat=True).first()
    if found is None:
        raise InvalidRequest("There is no customer of this name.", field="customer")
    return found


def _checked_media_type(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise InvalidRequest("This is a media type without parameters, such as image/tiff.", field="media_type")
    return text


def _insert(file: File) -> None:
    try:
        with transaction.atomic():
            file.save(force_insert=True)
    except IntegrityError as error:
        file.pk = None
        raise FileExists(field="path") from error


def _entry(kind: str, file: File, actor: User, after: Any = None) -> Entry:
    told = after or {"workspace": file.workspace.name, "path": file.path, "size": file.size, "sha256": file.sha256}
    return kind, "file", file.pk, actor.pk, file.customer_id, None, told
