"""The fleet at a glance: counted in the database, by as many statements whatever runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.db.models import Count, Exists, OuterRef, Q

from clusters import states
from clusters.models import Cluster, Container, HostingPlace, Placement

# What has gone is of no interest, and there is no end of it.
_ALIVE: Final = tuple(status for status in states.CONTAINER_STATES if status != states.DELETED)
_BAD: Final = Q(status__in=(states.UNHEALTHY, states.FAILED))
_ON_THE_WAY: Final = (states.PENDING, states.CREATING, states.RECONFIGURING)  # which may be held up
MOST_CLUSTERS: Final = 200
MOST_UNWELL: Final = 50


@dataclass(frozen=True, slots=True)
class FleetMap:
    """`by_place`: how many containers are in each state at each place, by the place's id; None: held nowhere.

    `leaving`: how much is on its way out of each. `versions`: (cluster, version, how many), of the newest clusters.
    `reasons`: (status, reason, how many) of what is not well, of which `unwell` has the newest.
    """

    places: list[HostingPlace]
    by_place: dict[int | None, dict[str, int]] = field(default_factory=dict)
    leaving: dict[int, int] = field(default_factory=dict)
    versions: list[tuple[Cluster, str, int]] = field(default_factory=list)
    reasons: list[tuple[str, str, int]] = field(default_factory=list)
    unwell: list[Container] = field(default_factory=list)


def fleet_map() -> FleetMap:
    """What stands where, and how."""
    there = FleetMap(list(HostingPlace.objects.order_by("cloud", "region")))
    held = Placement.objects.filter(status__in=states.HELD).order_by()
    for place, status, count in held.values_list("place", "container__status").annotate(count=Count("pk")):
        there.by_place.setdefault(place, {})[status] = count
    rows = Container.objects.filter(status__in=_ALIVE).order_by()
    nowhere = rows.exclude(Exists(held.filter(container=OuterRef("pk"))))
    for status, count in nowhere.values_list("status").annotate(count=Count("pk")):
        there.by_place.setdefault(None, {})[status] = count
    leaving = Placement.objects.filter(status=states.LEAVING).order_by()
    there.leaving.update(leaving.values_list("place").annotate(count=Count("pk")))
    there.versions.extend(_versions())
    unwell = Container.objects.filter(_BAD | Q(status__in=_ON_THE_WAY) & ~Q(reason=""))
    there.reasons.extend(unwell.values_list("status", "reason").annotate(count=Count("pk")).order_by("-count"))
    newest = unwell.select_related("cluster").defer("cluster__secrets").order_by("-pk")
    there.unwell.extend(newest[:MOST_UNWELL])
    return there


def _versions() -> list[tuple[Cluster, str, int]]:
    newest = Cluster.objects.filter(archived_at=None).defer("secrets").order_by("-pk")[:MOST_CLUSTERS]
    clusters = {each.pk: each for each in newest}
    rows = Container.objects.filter(cluster__in=list(clusters), archived_at=None)
    counted = rows.values_list("cluster", "image_version__version").annotate(count=Count("pk"))
    return [(clusters[pk], version, count) for pk, version, count in counted.order_by("-cluster", "image_version")]
