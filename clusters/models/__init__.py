"""The tables of clusters."""

from clusters.models.cluster import Cluster, Container, Placement, RecordingSettings, Rollout
from clusters.models.offer import Capacity, Measure, Offer, Price, Source
from clusters.models.places import HostingPlace, ImageVersion, Location

__all__ = [
    "Capacity",
    "Cluster",
    "Container",
    "HostingPlace",
    "ImageVersion",
    "Location",
    "Measure",
    "Offer",
    "Placement",
    "Price",
    "RecordingSettings",
    "Rollout",
    "Source",
]
