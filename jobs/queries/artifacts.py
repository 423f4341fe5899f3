"""Artifacts, as callers may see them, and where their bytes lie."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet

from accounts import access
from accounts.models import Role, User
from controlplane.core.storage import Storage
from controlplane.core.unstorable import UNSTORABLE
from jobs.errors import ArtifactNotFound
from jobs.models import Artifact, ArtifactVersion
from jobs.queries.own_storage import own_storage


def artifact_storage() -> Storage:
    """Where artifacts are kept: settings.ARTIFACT_STORAGE."""
    return own_storage(settings.ARTIFACT_STORAGE)


def path_of(version: ArtifactVersion) -> str:
    """The place of a version's bytes in that storage."""
    return f"artifacts/{version.uuid}"


def visible_artifacts(user: User) -> QuerySet[Artifact]:
    """The artifacts that `user` may read: staff all, others those of their customer."""
    rows = Artifact.objects.filter(deleted_at=None)
    if user.role != Role.CUSTOMER:
        return rows
    return rows.filter(customer=user.customer_id, customer__isnull=False)


def own_artifacts(user: User, customer: str | None = None) -> QuerySet[Artifact]:
    """The artifacts among which `user` names one: those of their customer, or of the staff, who may name a customer."""
    rows = visible_artifacts(user)
    if user.role == Role.CUSTOMER:
        return rows if customer in (None, user.customer.name if user.customer else None) else rows.none()
    return rows.filter(customer=None) if customer is None else rows.filter(customer__name=customer)


def find_artifact(user: User, name: str, action: str, *, customer: str | None = None) -> Artifact:
    """The artifact that `user` means by `name`, if they may do `action` to it. Raises ArtifactNotFound, Forbidden."""
    if UNSTORABLE.search(name) or UNSTORABLE.search(customer or ""):
        raise ArtifactNotFound
    found = own_artifacts(user, customer).filter(name=name).select_related("customer", "owner").first()
    if found is None:
        raise ArtifactNotFound
    decision = access.decide(user, "artifacts", action, owner_id=found.owner_id, customer_id=found.customer_id)
    access.enforce(decision, ArtifactNotFound)
    return found


def find_version(artifact: Artifact, number: int) -> ArtifactVersion:
    """A version of an artifact. Raises ArtifactNotFound."""
    found = artifact.versions.filter(number=number).first() if number < 2**31 else None
    if found is None:
        raise ArtifactNotFound("There is no such version of this artifact.")
    return found
