"""What lists of clusters, containers and image versions can be asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from clusters import states
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import Capacity, Cluster, Container, ImageVersion, Measure, Offer, Price
from clusters.queries import clusters_in, valid_at
from clusters.states import CLUSTER_STATES
from controlplane.core.filters import (
    BooleanFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    ReferencesFilter,
    TextsFilter,
)


class _Archivable(FilterSet):
    archived = BooleanFilter(method="is_archived", label="archived; without it, those that are not")

    def is_archived(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return rows.filter(archived_at__isnull=not value)


class ClusterFilter(_Archivable):
    name = TextsFilter(field_name="name", label="name")
    image_version = TextsFilter(field_name="image_version__version", label="image version")
    owner = TextsFilter(field_name="owner__username", label="user name of whose it is")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    status = ChoicesFilter(choices=CLUSTER_STATES, method="in_status", label="what it is, by its containers")

    class Meta:
        model = Cluster
        fields: list[str] = []

    def in_status(self, rows: QuerySet[Cluster], name: str, value: list[str]) -> QuerySet[Cluster]:
        return clusters_in(rows, value) if value else rows


class ContainerFilter(_Archivable):
    cluster = ReferencesFilter(field_name="cluster", label="id or uuid of its cluster")
    name = TextsFilter(field_name="name", label="name")
    status = ChoicesFilter(choices=states.CONTAINER_STATES, field_name="status", label="what it is")
    desired = ChoicesFilter(choices=states.DESIRED, field_name="desired", label="what it is to be")
    location = ChoicesFilter(choices=list(LOCATIONS), field_name="location", label="location")
    machine_type = ChoicesFilter(choices=list(MACHINE_TYPES), field_name="machine_type", label="machine type")
    image_version = TextsFilter(field_name="image_version__version", label="image version")

    class Meta:
        model = Container
        fields: list[str] = []


class ImageVersionFilter(FilterSet):
    version = TextsFilter(field_name="version", label="version")
    is_default = BooleanFilter(field_name="is_default", label="the default")
    is_deprecated = BooleanFilter(field_name="is_deprecated", label="deprecated")

    class Meta:
        model = ImageVersion
        fields: list[str] = []


class OfferFilter(FilterSet):
    cloud = TextsFilter(field_name="cloud", label="cloud")
    region = TextsFilter(field_name="region", label="region; of the fleet, a location")
    name = TextsFilter(field_name="name", label="name")
    capacity = ChoicesFilter(choices=Capacity.values, field_name="capacity", label="capacity")
    measure = ChoicesFilter(choices=Measure.values, field_name="measure", label="what a price of it is of")
    available = BooleanFilter(field_name="available", label="chosen for what is new")

    class Meta:
        model = Offer
        fields: list[str] = []


class PriceFilter(FilterSet):
    cloud = TextsFilter(field_name="offer__cloud", label="cloud")
    region = TextsFilter(field_name="offer__region", label="region; of the fleet, a location")
    offer = TextsFilter(field_name="offer__name", label="name of the offer")
    customer = TextsFilter(field_name="customer__name", label="name of the customer whose price it is")
    at = MomentFilter(method="valid_at", label="valid at that moment")

    class Meta:
        model = Price
        fields: list[str] = []

    def valid_at(self, rows: QuerySet[Price], name: str, value: datetime) -> QuerySet[Price]:
        return valid_at(rows, value)
