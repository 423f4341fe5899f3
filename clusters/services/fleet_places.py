"""Which place a location means in this deployment."""

from __future__ import annotations

from clusters.errors import NotOffered
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import HostingPlace, Location
from clusters.queries import place_of


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
