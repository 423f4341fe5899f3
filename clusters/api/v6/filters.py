"""What lists of clusters, containers and image versions can be asked for."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from clusters import states
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import Cluster, Container, ImageVersion
from clusters.queries import clusters_in
from clusters.states import CLUSTER_STATES
from controlplane.core.filters import BooleanFilter, ChoicesFilter, FilterSet, ReferencesFilter, TextsFilter


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
