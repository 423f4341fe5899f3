"""Reads of clusters and containers, and of what they can be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from accounts import access
from accounts.models import Customer, User
from clusters import states
from clusters.errors import (
    ClusterNotFound,
    ContainerNotFound,
    ImageVersionNotFound,
    RecordingSettingsNotFound,
    RolloutNotFound,
    UnknownImageVersion,
)
from clusters.locations import LOCATIONS
from clusters.models import (
    Cluster,
    Container,
    ImageVersion,
    Location,
    Placement,
    RecordingSettings,
    Rollout,
)
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import key_of

_OF_CLUSTERS: Final = ("image_version", "owner", "customer")
_OF_CONTAINERS: Final = ("cluster", *_OF_CLUSTERS)


# --- Where -----------------------------------------------------------------------------------------


def hosting_regions() -> list[tuple[str, str]]:
    """The places where this deployment can keep containers, as (cloud, region); the machine itself is the last."""
    aws = [("aws", region) for region in settings.AWS_ECS_CLUSTERS]
    return [*aws, ("local", settings.LOCAL_REGION)]


def place_of(location: Location) -> tuple[str, str] | None:
    """The place that has it, as (cloud, region); None where it cannot be had."""
    if not location.is_offered:
        return None
    if location.cloud:
        where = (location.cloud, location.region)
        return where if where in hosting_regions() else None
    if not settings.AWS_ECS_CLUSTERS:
        return "local", settings.LOCAL_REGION
    region = LOCATIONS[location.name].aws
    return ("aws", region) if region in settings.AWS_ECS_CLUSTERS else None


def offered_locations() -> Mapping[str, list[str]]:
    """The machine types that can be had at each location, the smallest first; locations without any are left out."""
    found: dict[str, list[str]] = {}
    for row in Location.objects.filter(is_offered=True).order_by("name", "vcpus_milli", "memory_mib"):
        if place_of(row) is not None:
            found.setdefault(row.name, []).append(row.machine_type)
    return {name: found[name] for name in LOCATIONS if name in found}


def has_something_to_keep() -> bool:
    """Is there a cluster, or anything that stands of one?"""
    is_there = Cluster.objects.filter(archived_at=None).exists()
    return is_there or Placement.objects.filter(status__in=states.THERE).exists()


# --- Image versions --------------------------------------------------------------------------------


def choosable_versions(user: User) -> QuerySet[ImageVersion]:
    """The image versions that `user` may choose: everybody's, and those for their customer; staff see all."""
    if access.decide(user, "clusters", access.READ).allowed:
        return ImageVersion.objects.all()
    return versions_for(user)


def versions_for(owner: User) -> QuerySet[ImageVersion]:
    """The image versions that containers of `owner` may run, whatever their role."""
    return ImageVersion.objects.filter(Q(customers=None) | Q(customers=owner.customer_id)).distinct()


def version_for(owner: User, version: str) -> ImageVersion:
    """The image version of that name, if the containers of `owner` may run it. Raises UnknownImageVersion."""
    found = versions_for(owner).filter(version=version).first() if version.isprintable() else None
    if found is None:
        raise UnknownImageVersion(f"There is no image version {version[:128]!r}.", field="image_version")
    return found


def find_version_for(actor: User, reference: str) -> ImageVersion:
    """The image version with this id, if `actor` may see it. Raises ImageVersionNotFound."""
    found = choosable_versions(actor).filter(pk=int(reference)).first()
    if found is None:
        raise ImageVersionNotFound
    return found


def customers_named(names: Iterable[str]) -> list[Customer]:
    """The customers of these names. Raises InvalidRequest for one that there is not."""
    wanted = set(names)
    found = list(Customer.objects.filter(name__in=wanted))
    if missing := sorted(wanted - {each.name for each in found}):
        raise InvalidRequest(f"There is no customer {missing[0][:64]!r}.", field="customers")
    return found


# --- Clusters --------------------------------------------------------------------------------------


def visible_clusters(actor: User) -> QuerySet[Cluster]:
    """The clusters that `actor` may read, also archived ones."""
    rows = Cluster.objects.select_related(*_OF_CLUSTERS)
    return rows if access.decide(actor, "clusters", access.READ).allowed else rows.filter(owner=actor)


def own_clusters(user: User) -> QuerySet[Cluster]:
    """The clusters of `user` that are not archived, also when they could see others'."""
    return Cluster.objects.select_related(*_OF_CLUSTERS).filter(owner=user, archived_at=None)


def find_cluster_for(actor: User, reference: str, action: str) -> Cluster:
    """The cluster with this id or uuid, if `actor` may do `action` to it. Raises ClusterNotFound, Forbidden."""
    cluster = Cluster.objects.select_related(*_OF_CLUSTERS).filter(**key_of(reference, ClusterNotFound)).first()
    if cluster is None:
        raise ClusterNotFound
    access.enforce(access.decide(actor, "clusters", action, owner_id=cluster.owner_id), ClusterNotFound)
    return cluster


def counts_of(clusters: Iterable[int]) -> dict[int, dict[str, int]]:
    """How many containers that are not archived each of these clusters has in each state."""
    found: dict[int, dict[str, int]] = {}
    rows = Container.objects.filter(cluster__in=list(clusters), archived_at=None).order_by()
    for cluster_id, status, count in rows.values_list("cluster", "status").annotate(count=Count("pk")):
        found.setdefault(cluster_id, {})[status] = count
    return found


def status_of(counts: Mapping[str, int]) -> str:
    """What a cluster is, by how many of its containers are in each state: a word of Fishjam's."""
    there = {status for status, count in counts.items() if count}
    if not there:
        return "idle"
    for status, word in (
        (states.RECONFIGURING, "reconfiguring"),
        (states.PENDING, "pending"),
        (states.CREATING, "pending"),
    ):
        if status in there:
            return word
    if there == {states.FAILED}:
        return "failed"
    return "degraded" if there & {states.FAILED, states.UNHEALTHY} else "running"


def recording_settings_of(cluster: Cluster) -> RecordingSettings:
    """Where the recordings of `cluster` go. Raises RecordingSettingsNotFound."""
    found = RecordingSettings.objects.filter(cluster=cluster).first()
    if found is None:
        raise RecordingSettingsNotFound
    return found


def clusters_in(clusters: QuerySet[Cluster], words: Iterable[str]) -> QuerySet[Cluster]:
    """Those of `clusters` that `status_of` calls one of `words`."""
    there = Container.objects.filter(cluster=OuterRef("pk"), archived_at=None)
    busy = Exists(there.filter(status__in=(states.RECONFIGURING, states.PENDING, states.CREATING)))
    unwell = Exists(there.filter(status__in=(states.FAILED, states.UNHEALTHY)))
    changing = Exists(there.filter(status=states.RECONFIGURING))
    not_failed = Exists(there.exclude(status=states.FAILED))
    meant = {
        "idle": ~Exists(there),
        "reconfiguring": Q(changing),
        "pending": Q(busy) & ~changing,
        "failed": Q(Exists(there)) & ~not_failed,
        "degraded": Q(unwell) & Q(not_failed) & ~busy,
        "running": Q(Exists(there)) & ~busy & ~unwell,
    }
    either = Q()
    for word in words:
        either |= Q(meant[word])
    return clusters.filter(either)


# --- Containers ------------------------------------------------------------------------------------


def visible_containers(actor: User) -> QuerySet[Container]:
    """The containers that `actor` may read, also archived ones."""
    rows = Container.objects.select_related(*_OF_CONTAINERS)
    return rows if access.decide(actor, "clusters", access.READ).allowed else rows.filter(owner=actor)


def own_containers(user: User) -> QuerySet[Container]:
    """The containers of `user`, also archived ones, and also when they could see others'."""
    return Container.objects.select_related(*_OF_CONTAINERS).filter(owner=user)


def find_container_for(actor: User, reference: str, action: str) -> Container:
    """The container with this id or uuid, if `actor` may do `action` to it. Raises ContainerNotFound, Forbidden."""
    container = Container.objects.select_related(*_OF_CONTAINERS).filter(**key_of(reference, ContainerNotFound)).first()
    if container is None:
        raise ContainerNotFound
    access.enforce(access.decide(actor, "clusters", action, owner_id=container.owner_id), ContainerNotFound)
    return container


def placements_of(containers: Iterable[int]) -> dict[int, Placement]:
    """What serves of each of these containers: the newest that has run, else the newest."""
    found: dict[int, Placement] = {}
    rows = Placement.objects.select_related("place").filter(container__in=list(containers), status__in=states.THERE)
    for each in rows.order_by("pk"):
        before = found.get(each.container_id)
        if before is None or each.host or not before.host:
            found[each.container_id] = each
    return found


def metrics_targets() -> list[Placement]:
    """What serves of each container that is up and shows figures, with all that its target says. In one statement."""
    rows = Placement.objects.select_related("place", *(f"container__{name}" for name in _OF_CONTAINERS)).filter(
        status__in=states.THERE,
        container__archived_at=None,
        container__status__in=(*states.UP, states.RECONFIGURING),
        container__image_version__metrics_port__isnull=False,
    )
    return list({each.container_id: each for each in rows.exclude(host="").order_by("pk")}.values())


class PeerTarget(NamedTuple):
    """A placement that says how long peers are connected: where, and what was last read of it (None: nothing)."""

    placement_id: int
    container_id: int
    run: str
    host: str
    ports: dict[str, int]
    metrics_port: int
    metrics_path: str
    read_at: datetime | None
    failures: int | None

    @property
    def port(self) -> int:
        return self.ports.get(str(self.metrics_port), self.metrics_port)


def peer_targets() -> list[PeerTarget]:
    """All that runs and shows figures, in one statement; what could be read and was read longest ago comes first.

    More than `metrics_targets`: what leaves a place, or is to be replaced there, has peers until it has gone.
    """
    rows = Placement.objects.filter(status__in=states.THERE, container__image_version__metrics_port__isnull=False)
    found = rows.exclude(host="").values_list(
        *("pk", "container", "run", "host", "ports"),
        *("container__image_version__metrics_port", "container__image_version__metrics_path"),
        *("peer_reading__read_at", "peer_reading__failures"),
    )
    never = datetime.min.replace(tzinfo=UTC)
    return sorted((PeerTarget(*row) for row in found), key=lambda each: (each.failures or 0, each.read_at or never))


# --- Rollouts --------------------------------------------------------------------------------------


def find_rollout(cluster: Cluster, reference: str) -> Rollout:
    """The rollout of `cluster` with this id or uuid. Raises RolloutNotFound."""
    found = cluster.rollouts.select_related("before", "target").filter(**key_of(reference, RolloutNotFound)).first()
    if found is None:
        raise RolloutNotFound
    return found
