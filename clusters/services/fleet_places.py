"""Which place a location means in this deployment."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts import events
from accounts.models import User
from clusters.errors import NotOffered
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import HostingPlace, Location
from clusters.queries import CLOUDS, place_of
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing


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
    """Set what is given: for containers that are asked for from now on. Both of cloud and region empty: by the
    deployment. Raises InvalidRequest.
    """
    given: dict[str, Any] = {
        "cloud": cloud,
        "region": region,
        "vcpus_milli": vcpus_milli,
        "memory_mib": memory_mib,
        "is_offered": is_offered,
    }
    with transaction.atomic():
        row = Location.objects.select_for_update().get(pk=row.pk)
        facts = facts_of_location(row)
        fields = [name for name, value in given.items() if value is not None and value != getattr(row, name)]
        for name in fields:
            setattr(row, name, given[name])
        if bool(row.cloud) != bool(row.region):
            raise InvalidRequest("A place has a cloud and a region, or neither.", field="region")
        if row.cloud and row.cloud not in CLOUDS:
            raise InvalidRequest(f"There is no cloud {row.cloud[:64]!r}.", field="cloud")
        for name in ("vcpus_milli", "memory_mib"):
            if getattr(row, name) < 1:
                raise InvalidRequest("This is a whole number from 1.", field=name)
        if fields:
            row.save(update_fields=fields)
            before, after = differing(facts, facts_of_location(row))
            told = {"name": str(row), "fields": fields, **after}
            events.tell("location.changed", row.pk, actor, told, before=before)
    return row


def facts_of_location(row: Location) -> dict[str, Any]:
    """What may be said of a location, as the event log has it."""
    return {name: getattr(row, name) for name in ("cloud", "region", "vcpus_milli", "memory_mib", "is_offered")}
