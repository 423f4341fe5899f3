"""What can never run at a place as it is set up here: said at once, and not by a job that waits for ever."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from clusters.queries import capacities, missing_settings
from controlplane.core.errors import InvalidRequest
from jobs.errors import ProviderNotConfigured
from jobs.services.places import place_id


def check_place(
    cloud: str, *, queue: str | None, command: Any, region: str = "", capacity: str = "", whole: bool = False
) -> None:
    """Refuse what can never run at a cloud as it is set up here; `whole`: it is a machine of its own.

    Raises InvalidRequest, ProviderNotConfigured.
    """
    missing = missing_settings(cloud)
    if missing:
        raise ProviderNotConfigured(f"{cloud} is not configured here: set {', '.join(missing)}.", field="cloud")
    if whole and cloud != "aws":
        raise InvalidRequest(f"There are no machine images on {cloud}.", field="machine_image")
    if cloud == "local" and queue is not None and queue not in settings.LOCAL_QUEUES:
        raise InvalidRequest(f"This must be one of {', '.join(settings.LOCAL_QUEUES)}.", field="queue")
    if cloud == "local" and not command:
        raise InvalidRequest("The local provider runs the command itself, so there must be one.", field="command")
    if capacity:
        _check_capacity(cloud, region, queue, capacity, whole)


def _check_capacity(cloud: str, region: str, queue: str | None, capacity: str, whole: bool) -> None:
    place_id(cloud, region)
    found = capacities(cloud, region, whole=whole)
    if capacity not in found:
        there = f"there is {', '.join(found)}" if found else "its machines are of one kind"
        raise InvalidRequest(f"{cloud}/{region} has no {capacity} machines for this: {there}.", field="capacity")
    if queue:
        raise InvalidRequest("A queue says already what its machines are: give one or the other.", field="capacity")
