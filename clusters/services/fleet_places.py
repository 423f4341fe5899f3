"""Which place a location means in this deployment."""

from __future__ import annotations

from django.db import transaction

from accounts import events
from accounts.models import User
from clusters.errors import NotOffered
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import HostingPlace, Location
from clusters.queries import hosting_regions, place_of
from controlplane.core.errors import InvalidRequest


def place_for(location: str, machine_type: str) -> HostingPlace:
    """Where such a container goes, made on first use. Raises NotOffered, naming the field."""
    if location not in LOCATIONS:
        raise NotOffered(f"There is no location {location[:64]!r}.", field="location")
    if machine_type not in MACHINE_TYPES:
        raise NotOffered(f"There is no machine type {machine_type[:64]!r}.", field="machine_type")
    row = Location.objects.filter(name=location, machine_type=machine_type).first()
    where = place_of(row) if row is not None else None
    if where is None:
        raise NotOffered(f"{machine_type} is not offered at {location}.", field="location")
    return HostingPlace.objects.get_or_create(cloud=where[0], region=where[1])[0]


def edit_location(
    *,
    row: Location,
    actor: User | None,
    cloud: str | None = None,
    region: str | None = None,
    vcpus_milli: int | None = None,
    memory_mib: int | None = None,
    is_offered: bool | None = None,
) -> Location:
    """Say where a machine type at a location is, how large, and whether it can be had. It moves nothing that stands.

    Raises InvalidRequest.
    """
    given = {
        "cloud": cloud,
        "region": region,
        "vcpus_milli": vcpus_milli,
        "memory_mib": memory_mib,
        "is_offered": is_offered,
    }
    with transaction.atomic():
        row = Location.objects.select_for_update().get(pk=row.pk)
        new = {name: value for name, value in given.items() if value is not None and getattr(row, name) != value}
        for name, value in new.items():
            setattr(row, name, value)
        if bool(row.cloud) != bool(row.region):
            raise InvalidRequest("A cloud goes with its region.", field="region" if row.cloud else "cloud")
        if row.cloud and (row.cloud, row.region) not in hosting_regions():
            raise InvalidRequest("This deployment keeps no containers there.", field="region")
        if new:
            row.save(update_fields=list(new))
            events.tell("location.changed", row.pk, actor, {"name": str(row), "fields": sorted(new)})
    return row
