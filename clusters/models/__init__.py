"""The tables of clusters."""

from clusters.models.cluster import Cluster, Container, Placement, RecordingSettings, Rollout
from clusters.models.offer import FLEET, FLEET_MEASURES, PEER_OFFER, Capacity, Measure, Offer, Price, Source
from clusters.models.peers import PeerReading, PeerTime
from clusters.models.places import HostingPlace, ImageVersion, Location

__all__ = [
    "FLEET",
    "FLEET_MEASURES",
    "PEER_OFFER",
    "Capacity",
    "Cluster",
    "Container",
    "HostingPlace",
    "ImageVersion",
    "Location",
    "Measure",
    "Offer",
    "PeerReading",
    "PeerTime",
    "Placement",
    "Price",
    "RecordingSettings",
    "Rollout",
    "Source",
]
