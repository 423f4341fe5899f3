"""Whether a place is set up as it has to be, asked of its cloud now."""

from __future__ import annotations

from clusters.providers.base import Probe
from clusters.queries import cloud_at, settings_fault
from controlplane.core import instruments
from controlplane.core.connections import give_back
from controlplane.core.errors import Conflict
from jobs.models import Place


def probe(place: Place, customer: str = "") -> list[Probe]:
    """What the place's cloud has and permits, where `customer`'s jobs run. Changes nothing there.

    No database connection is held meanwhile. Raises Conflict when the settings do not let it be asked, ProviderError.
    """
    if not place.is_cloud:
        raise Conflict(f"{place} is a machine of ours, and no cloud.")
    if fault := settings_fault(place.cloud, place.region):
        raise Conflict(f"{place} cannot be asked: {fault}.")
    give_back()
    with instruments.provider_call(place.cloud, "probe"):
        return cloud_at(place.cloud, place.region).probe(customer)
