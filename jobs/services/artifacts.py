"""Artifacts: uploaded, described, deleted. Each version is an object in storage of its own, and never changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import access
from accounts.events import record
from accounts.models import Role, User
from controlplane.core.connections import give_back
from controlplane.core.errors import Conflict, InvalidRequest
from controlplane.core.storage import StorageError, Stored
from jobs.errors import ArtifactNotFound
from jobs.models import Artifact, ArtifactVersion, MapReduceSpec, Protocol
from jobs.queries.artifacts import artifact_storage, find_artifact, own_artifacts, path_of

logger = logging.getLogger("jobs.artifacts")
NAME_LENGTH: Final = 255


def max_artifact_bytes() -> int:
    return int(settings.MAX_ARTIFACT_MIB) * 2**20


def put_artifact(*, actor: User, name: str, source: Iterable[bytes], protocol: str = "") -> Artifact:
    """Store the bytes of `source` as the artifact of this name: a new one, or a new version of the one that is there.

    The bytes that it has already make no version. No database connection is held while bytes flow; what
    `source` raises goes through. Raises InvalidRequest naming the field, Forbidden, TooBig, StorageError.
    """
    check_name(name)
    if protocol and protocol not in Protocol.values:
        raise _no_protocol()
    access.demand(actor, "artifacts", access.CHANGE, owner_id=actor.pk)
    _check_may_replace(actor, name)
    version = ArtifactVersion(created_by=actor)
    storage = artifact_storage()
    give_back()
    stored = storage.put(path_of(version), source, max_bytes=max_artifact_bytes())
    try:
        kept = stored.size > 0 and _keep(version, stored, actor, name, protocol)
    except BaseException:
        _drop([version])
        raise
    if not kept:
        _drop([version])
    if stored.size == 0:
        raise InvalidRequest("The program is empty.", field="program")
    return find_artifact(actor, name, access.READ)


def edit_artifact(artifact: Artifact, *, actor: User, protocol: str) -> None:
    """Say how the program is spoken to."""
    if protocol not in Protocol.values:
        raise _no_protocol()
    with transaction.atomic():
        now = timezone.now()
        if not Artifact.objects.filter(pk=artifact.pk, deleted_at=None).update(protocol=protocol, modified_at=now):
            raise ArtifactNotFound
        _tell("artifact.edited", artifact, actor, {"protocol": protocol})


def delete_artifact(artifact: Artifact, *, actor: User) -> None:
    """Take an artifact away, with the bytes of its versions but those that jobs name: jobs keep what they began with.

    Raises ArtifactNotFound when somebody was faster. Where the storage fails the artifact is gone all the same, and
    an object may be left behind.
    """
    with transaction.atomic():
        now = timezone.now()
        if not Artifact.objects.filter(pk=artifact.pk, deleted_at=None).update(deleted_at=now, modified_at=now):
            raise ArtifactNotFound
        # Locked, then looked at: a job that is being submitted has them, or finds them gone.
        list(artifact.versions.select_for_update().order_by("pk").values_list("pk"))
        named = Exists(MapReduceSpec.objects.filter(_names(OuterRef("pk"))))
        versions = list(artifact.versions.exclude(named))
        ArtifactVersion.objects.filter(pk__in=[version.pk for version in versions]).delete()
        _tell("artifact.deleted", artifact, actor, {"name": artifact.name})
    _drop(versions)


def _names(version: Any) -> Q:
    return Q(mapper=version) | Q(reducer=version) | Q(combiner=version)


# --- Steps ---------------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """A name is one part of a path, and can be said in a message. Raises InvalidRequest."""
    if not 0 < len(name) <= NAME_LENGTH or "/" in name or name in (".", "..") or not name.isprintable():
        message = f"A name has from 1 to {NAME_LENGTH} printable characters, no / among them."
        raise InvalidRequest(message, field="name")


def _no_protocol() -> InvalidRequest:
    return InvalidRequest(f"This is one of {', '.join(Protocol.values)}.", field="protocol")


def _check_may_replace(actor: User, name: str) -> None:
    """Before anything is read: a colleague's artifact is not to be replaced. Raises Forbidden."""
    if own_artifacts(actor).filter(name=name).exists():
        find_artifact(actor, name, access.CHANGE)


def _keep(version: ArtifactVersion, stored: Stored, actor: User, name: str, protocol: str) -> bool:
    """Make the rows; False when they are there already, with the same bytes."""
    version.size, version.sha256 = stored.size, stored.sha256
    for _ in range(2):
        try:
            with transaction.atomic():
                return _insert(version, actor, name, protocol)
        except IntegrityError:  # somebody made the artifact meanwhile, so that this is its next version
            version.pk = None
    raise Conflict("This artifact is being changed by others; upload it again.")


def _insert(version: ArtifactVersion, actor: User, name: str, protocol: str) -> bool:
    customer_id = actor.customer_id if actor.role == Role.CUSTOMER else None
    rows = Artifact.objects.filter(customer=customer_id, name=name, deleted_at=None)
    artifact = rows.select_for_update(no_key=True).first()
    if artifact is None:
        wish: dict[str, Any] = {"protocol": protocol} if protocol else {}
        wish |= {"size": version.size, "sha256": version.sha256}
        artifact = Artifact.objects.create(customer_id=customer_id, name=name, owner=actor, **wish)
    else:
        find_artifact(actor, name, access.CHANGE)
        if artifact.sha256 == version.sha256:
            return False
        artifact.version, artifact.modified_at = artifact.version + 1, timezone.now()
        artifact.size, artifact.sha256 = version.size, version.sha256
        artifact.save(update_fields=["version", "size", "sha256", "modified_at"])
    version.artifact, version.number = artifact, artifact.version
    version.save(force_insert=True)
    _tell("artifact.uploaded", artifact, actor, {"name": name, "version": version.number, "sha256": version.sha256})
    return True


def _drop(versions: Iterable[ArtifactVersion]) -> None:
    """Delete objects that nothing names any more."""
    storage = artifact_storage()
    give_back()
    for version in versions:
        try:
            storage.delete(path_of(version))
        except StorageError as error:
            logger.warning("%s may be left behind in the storage of artifacts: %s", path_of(version), error.message)


def _tell(kind: str, artifact: Artifact, actor: User, after: object) -> None:
    record([(kind, "artifact", artifact.pk, actor.pk, artifact.customer_id, None, after)])
