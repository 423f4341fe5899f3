"""Reads of job types: who sees which, by name and version, the newest of each name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Role, User
from jobtypes.errors import JobTypeNotFound, RevisionNotFound
from jobtypes.models import JobType, JobTypeRevision, RecipeType

# Columns that lists do without, as each may be large.
DOCUMENTS: Final = ("manifest", "configuration")
_BIGGEST_NUMBER: Final = 2**31 - 1


def visible_job_types(user: User) -> QuerySet[JobType]:
    """Staff see all job types, customers' users those that are published."""
    return JobType.objects.all() if user.role != Role.CUSTOMER else JobType.objects.filter(is_published=True)


def latest_job_types(user: User) -> QuerySet[JobType]:
    """The newest version, by SemVer, of each name that `user` sees; of equal ones the one that came last."""
    newer = visible_job_types(user).filter(
        Q(version_key__gt=OuterRef("version_key")) | Q(version_key=OuterRef("version_key"), pk__gt=OuterRef("pk")),
        name=OuterRef("name"),
    )
    return visible_job_types(user).filter(~Exists(newer))


def versions_of(user: User, names: Iterable[str]) -> dict[str, list[str]]:
    """The versions of each of these names that `user` sees, newest first."""
    rows = visible_job_types(user).filter(name__in=list(names)).order_by("name", "-version_key", "-pk")
    found: dict[str, list[str]] = defaultdict(list)
    for name, version in rows.values_list("name", "version"):
        found[name].append(version)
    return found


def find_job_type(user: User, name: str, version: str) -> JobType:
    """The job type. Raises JobTypeNotFound, also where `user` does not see it."""
    found = visible_job_types(user).filter(name=name, version=version).first()
    if found is None:
        raise JobTypeNotFound
    return found


def job_type_ids(user: User, versions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The ids of those of `versions`, each a name and a version, that `user` sees. One statement."""
    wanted = set(versions)
    rows = visible_job_types(user).filter(name__in={name for name, _ in wanted})
    found = {(name, version): pk for name, version, pk in rows.values_list("name", "version", "pk")}
    return {each: found[each] for each in wanted & found.keys()}


def find_job_type_by_id(user: User, job_type_id: int) -> JobType:
    """The job type with this id. Raises JobTypeNotFound, also where `user` does not see it."""
    found = visible_job_types(user).filter(pk=job_type_id).first()
    if found is None:
        raise JobTypeNotFound
    return found


def revisions_of(job_type: JobType) -> QuerySet[JobTypeRevision]:
    return JobTypeRevision.objects.filter(job_type=job_type)


def find_revision(job_type: JobType, revision_num: int) -> JobTypeRevision:
    """The revision. Raises RevisionNotFound."""
    rows = revisions_of(job_type).filter(revision_num=revision_num)
    found = rows.first() if revision_num <= _BIGGEST_NUMBER else None
    if found is None:
        raise RevisionNotFound
    return found


def recipe_types_of(job_type: JobType) -> QuerySet[RecipeType]:
    """The recipe types with a node of this job type, by name."""
    return RecipeType.objects.filter(Exists(job_type.recipe_nodes.filter(recipe_type=OuterRef("pk")))).order_by("name")
