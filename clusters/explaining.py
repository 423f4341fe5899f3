"""Why a container is not as it is wanted: what the keeper judged, how its place does, and the place's own words."""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from clusters import states
from clusters.judging import PLACE_FAILS, REASONS
from clusters.models import Cluster, Container, HostingPlace, Placement
from clusters.providers.errors import ProviderError
from clusters.queries import hosting_at, placements_of

MOST_EXPLAINED: Final = 100
NOT_KEPT: Final = "NOT_KEPT"
_ALSO: Final = {NOT_KEPT: "Nobody looks after its place just now: no machine that keeps containers there is at work."}


def explain(container: Container, placement: Placement | None) -> dict[str, Any]:
    """What is known here. No calls."""
    place = placement.place if placement is not None else None
    reason = container.reason
    if not reason and container.status in states.CHANGING and place is not None:
        reason = PLACE_FAILS if place.failure else "" if is_kept(place) else NOT_KEPT
    return {
        "id": container.pk,
        "uuid": container.uuid,
        "name": container.name,
        "desired": container.desired,
        "status": container.status,
        "since": container.moved_at,
        "reason": reason,
        "words": REASONS.get(reason) or _ALSO.get(reason, ""),
        "detail": container.detail,
        "place": place and _place(place),
        "handle": placement.handle if placement is not None else "",
        "restarts": placement.restarts if placement is not None else 0,
    }


def explain_unwell(cluster: Cluster) -> list[dict[str, Any]]:
    """The same for those of its containers that are not as they are wanted, the first hundred."""
    rows = Container.objects.filter(cluster=cluster, archived_at=None)
    rows = rows.exclude(status=states.RUNNING, reason="").exclude(status=states.STOPPED, desired=states.DOWN_WANTED)
    found = list(rows.order_by("pk")[:MOST_EXPLAINED])
    placements = placements_of([each.pk for each in found])
    return [explain(each, placements.get(each.pk)) for each in found]


def words_of(placement: Placement | None) -> str:
    """What the place itself says; empty where it says nothing or cannot be asked. Call it outside transactions."""
    if placement is None or not placement.handle:
        return ""
    try:
        return hosting_at(placement.place.cloud, placement.place.region).explain(placement.handle)
    except (ProviderError, ValueError) as error:
        return f"The place could not be asked: {str(error)[:500] or type(error).__name__}"


def is_kept(place: HostingPlace) -> bool:
    return place.kept_until is not None and place.kept_until > timezone.now()


def _place(place: HostingPlace) -> dict[str, Any]:
    return {
        "cloud": place.cloud,
        "region": place.region,
        "is_kept": is_kept(place),
        "seen_at": place.seen_at,
        "failure": place.failure,
        "failing_since": place.failing_since,
    }
