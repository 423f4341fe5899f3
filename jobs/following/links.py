"""Where a cloud shows what runs there."""

from __future__ import annotations

from clusters.queries import cloud_at, cloud_regions
from jobs.models import Execution


def link_of(execution: Execution) -> str:
    """The page of an execution in its cloud's console. Empty where there is none. Loaded with it: its place.

    Asks nobody; who follows it needs an account there.
    """
    place = execution.place
    if not execution.handle or (place.cloud, place.region) not in cloud_regions():
        return ""
    return cloud_at(place.cloud, place.region).link(execution.handle)
