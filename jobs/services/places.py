"""Places and lanes: found by their natural keys, made on first use, remembered by this process."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from clusters.queries import cloud_regions
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered
from jobs import queries
from jobs.models import Lane, Place

_places: Remembered[tuple[str, str], int] = Remembered()
# place, customer, owner, queue, vcpus_milli, memory_mib, job type, on_hold
LaneKey = tuple[int, int, int, str, int, int, int | None, bool]
_lanes: Remembered[LaneKey, int] = Remembered()


def place_id(cloud: str, region: str) -> int:
    """The place of a region. Raises InvalidRequest naming `region` when there is none.

    Those of the settings always exist; other local ones exist once a machine has served them.
    """
    known = _places.get((cloud, region))
    if known is not None:
        return known
    found = Place.objects.filter(cloud=cloud, region=region).values_list("id", flat=True).first()
    if found is None and (region == settings.LOCAL_REGION or (cloud, region) in cloud_regions()):
        found = Place.objects.get_or_create(cloud=cloud, region=region)[0].pk
    if found is None:
        raise InvalidRequest(f"There is no region {region[:64]!r} of {cloud}.", field="region")
    return _places.keep((cloud, region), found)


def report_place(place: int, *, vcpus_milli: int, memory_mib: int, disk_free_mib: int | None, runs_for: str) -> None:
    """What the place's own worker says of it now."""
    Place.objects.filter(pk=place).update(
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        disk_free_mib=disk_free_mib,
        disk_floor_mib=settings.LOCAL_DISK_FLOOR_MIB,
        runs_for=runs_for,
        seen_at=timezone.now(),
    )


def lane_id(
    place: int,
    customer: int,
    owner: int,
    queue: str,
    vcpus_milli: int,
    memory_mib: int,
    job_type: int | None = None,
    *,
    on_hold: bool = False,
) -> int:
    """The lane of such jobs. Memory counts in powers of two, so that lanes stay few."""
    memory = 1 << (memory_mib - 1).bit_length()
    key = (place, customer, owner, queue, vcpus_milli, memory, job_type, on_hold)
    known = _lanes.get(key)
    if known is not None:
        return known
    lane, made = Lane.objects.get_or_create(
        place_id=place,
        customer_id=customer,
        owner_id=owner,
        queue=queue,
        vcpus_milli=vcpus_milli,
        memory_mib=memory,
        job_type_id=job_type,
        on_hold=on_hold,
        defaults={"held": on_hold},
    )
    if made and not on_hold and queries.is_held(lane):
        Lane.objects.filter(pk=lane.pk).update(held=True)
    return _lanes.keep(key, lane.pk)


def twin_lane_id(lane: Lane) -> int:
    """The lane of the same jobs when they are held one by one, or, of such a lane, when they are not."""
    return lane_id(
        lane.place_id,
        lane.customer_id,
        lane.owner_id,
        lane.queue,
        lane.vcpus_milli,
        lane.memory_mib,
        lane.job_type_id,
        on_hold=not lane.on_hold,
    )
