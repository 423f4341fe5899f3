"""Where clouds show what is there, for people who have an account with them. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters.models import Placement
from clusters.providers.aws.links import object_page, queues_page
from clusters.providers.azure.links import jobs_page
from clusters.providers.errors import ProviderError
from clusters.queries.places import azure_config, cloud_regions, hosting_at


def link_of_region(cloud: str, region: str) -> str:
    """Where a region's jobs are looked at. "": there is nothing to see, or it is not set up here."""
    if (cloud, region) not in cloud_regions():
        return ""
    return queues_page(region) if cloud == "aws" else jobs_page(azure_config().resource_id)


def links_of_placement(placement: Placement) -> tuple[str, str]:
    """What a container is at its place, and its log there; each "" where there is none. Loaded with it: its place."""
    place = placement.place
    if not placement.handle or place.cloud == "local":
        return "", ""
    try:
        hosting = hosting_at(place.cloud, place.region)
        return hosting.link(placement.handle), hosting.log_link(placement.handle, placement.run)
    except (ValueError, ProviderError):
        return "", ""  # of a place that is not set up any more


def link_of_object(broker: Mapping[str, Any], path: str) -> str:
    """A file of a storage, by the broker of its configuration. "": it is in no bucket of AWS's."""
    if broker.get("type") != "s3" or broker.get("endpoint_url"):
        return ""
    key = "/".join(part for part in (str(broker.get("prefix") or "").strip("/"), path) if part)
    return object_page(str(broker.get("region_name") or ""), str(broker["bucket_name"]), key)
