"""Records, as they may be seen, and what they speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import User
from billing.errors import UsageNotFound
from billing.models import UsageKind, UsageRecord
from billing.queries.costs import visible_records
from billing.queries.receipts import WITH_IT
from clusters.models import Cluster, Container
from jobs.models import Execution, Job
from jobtypes.models import JobType

OF_CONTAINERS: Final = (UsageKind.CONTAINER, UsageKind.PEERS)


class Named(NamedTuple):
    """A row that a record speaks of. Without a uuid and a name, it is gone."""

    id: int
    uuid: UUID | None = None
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Mentioned:
    """What records speak of, by id."""

    jobs: Mapping[int, Named]
    executions: Mapping[int, Named]
    containers: Mapping[int, Named]
    job_types: Mapping[int, Named]
    clusters: Mapping[int, Named]


def shown_records(user: User) -> QuerySet[UsageRecord]:
    """What `visible_records` has, with customers and people."""
    return visible_records(user).select_related(*WITH_IT)


def find_record(user: User, record_id: int) -> UsageRecord:
    """The record of this id. Raises UsageNotFound, also where `user` does not see it."""
    found = shown_records(user).filter(pk=record_id).first()
    if found is None:
        raise UsageNotFound
    return found


def mentioned_in(records: Sequence[UsageRecord]) -> Mentioned:
    """What these records speak of; at most one statement for each kind of it."""
    by_kind = {kind: [each.source_id for each in records if each.kind == kind] for kind in UsageKind.values}
    return Mentioned(
        jobs=_read(Job, (i for each in records for i in (each.job_id, each.root_id)), "uuid"),
        executions=_read(Execution, by_kind[UsageKind.EXECUTION], "uuid"),
        containers=_read(Container, (i for kind in OF_CONTAINERS for i in by_kind[kind]), "uuid", "name"),
        job_types={
            i: Named(i, None, each.name, each.version)
            for i, each in _rows(JobType, (each.job_type_id for each in records), "name", "version").items()
        },
        clusters=_read(Cluster, (each.cluster_id for each in records), "uuid", "name"),
    )


def _read(model: Any, ids: Iterable[int | None], *columns: str) -> dict[int, Named]:
    found = _rows(model, ids, *columns)
    return {i: Named(i, each.uuid, getattr(each, "name", "")) for i, each in found.items()}


def _rows(model: Any, ids: Iterable[int | None], *columns: str) -> dict[int, Any]:
    wanted = {each for each in ids if each is not None}
    rows = model.objects.filter(pk__in=wanted).values_list("pk", *columns, named=True) if wanted else ()
    return {each.pk: each for each in rows}


# --- Which of them ---------------------------------------------------------------------------------


def of_jobs(rows: QuerySet[UsageRecord], named: Sequence[int | UUID]) -> QuerySet[UsageRecord]:
    """Those of these jobs; of a MapReduce job, those of its tasks."""
    found: dict[int, int | None] = dict(Job.objects.filter(_named(named)).values_list("pk", "parent_id"))
    # What is gone is known by its id still.
    roots = {i for i, parent in found.items() if parent is None} | ({i for i in named if isinstance(i, int)} - {*found})
    tasks = {i: parent for i, parent in found.items() if parent is not None}
    return rows.filter(Q(root_id__in=roots) | Q(root_id__in=set(tasks.values()), job_id__in=set(tasks)))


def of_sources(
    rows: QuerySet[UsageRecord], model: Any, kinds: Sequence[str], named: Sequence[int | UUID]
) -> QuerySet[UsageRecord]:
    """Those of these executions, or containers."""
    ids = {i for i in named if isinstance(i, int)} | set(
        model.objects.filter(uuid__in=[each for each in named if isinstance(each, UUID)]).values_list("pk", flat=True)
    )
    return rows.filter(kind__in=kinds, source_id__in=ids)


def _named(named: Sequence[int | UUID]) -> Q:
    ids = [each for each in named if isinstance(each, int)]
    return Q(pk__in=ids) | Q(uuid__in=[each for each in named if isinstance(each, UUID)])
