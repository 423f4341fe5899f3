"""What is to be known of containers from outside: metrics of whom, logs from where. Whose they are is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from accounts.models import User
from clusters.errors import LogsUnavailable, ScopeNotOwned
from clusters.models import Cluster, Container, Placement
from clusters.providers.base import LogPage
from clusters.providers.errors import NotFound, ProviderError
from clusters.providers.hosting import Hosting
from clusters.queries.places import hosting_at
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogEntry, LogQuery, newest
from clusters.telemetry.promql import MetricLabel, Scope

# Of more of a user's own, the newest count: a query names each.
MOST: Final = 1000


def scope_of(owner: User, label: MetricLabel, uuids: Sequence[UUID] | None) -> Scope:
    """The scope of a question about what is `owner`'s: these, or all of it. Raises ScopeNotOwned."""
    if label is MetricLabel.USER:
        return Scope.of_user(owner.email or "")
    model: type[Cluster | Container] = Cluster if label is MetricLabel.CLUSTER else Container
    rows = model.objects.filter(owner=owner)
    if uuids:
        found = set(rows.filter(uuid__in=uuids).values_list("uuid", flat=True))
        if len(found) < len(set(uuids)):
            raise ScopeNotOwned(field="scope_uuids")
    else:
        found = set(rows.order_by("-pk").values_list("uuid", flat=True)[:MOST])
    return Scope(label, tuple(sorted(map(str, found))))


def log_of(
    container: Container,
    *,
    start: datetime,
    end: datetime,
    limit: int,
    phrase: str = "",
    severity: Severity | None = None,
) -> list[LogEntry]:
    """The newest lines of a container's log, the newest first. Raises LogsUnavailable."""
    placement = _placement(container)
    query = LogQuery(
        container=container.uuid,
        created_at=container.created_at,
        start=start,
        end=end,
        limit=limit,
        phrase=phrase,
        severity=severity,
    )
    return newest(query, _hosting(placement), placement.handle if placement else "")


def output_of(container: Container, after: int, limit: int, run: str) -> LogPage:
    """The output of a run of a container, of its newest when none is named, from byte `after` on.

    Raises LogsUnavailable.
    """
    placement = _placement(container)
    hosting = _hosting(placement)
    if placement is None:
        return LogPage("", after, ended=container.archived_at is not None)
    if hosting is None:
        raise LogsUnavailable("The container's place tells no output here.")
    try:
        return hosting.logs(placement.handle, after, limit, run=run)
    except NotFound:
        return LogPage("", after, ended=True)
    except ProviderError as error:
        raise LogsUnavailable from error


def _placement(container: Container) -> Placement | None:
    """Where it runs, or ran last."""
    rows = Placement.objects.select_related("place").filter(container=container).exclude(handle="")
    return rows.order_by("-pk").first()


def _hosting(placement: Placement | None) -> Hosting | None:
    if placement is None:
        return None
    try:
        return hosting_at(placement.place.cloud, placement.place.region)
    except ValueError:
        return None
