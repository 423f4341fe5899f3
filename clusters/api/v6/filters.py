"""What lists of clusters, containers and image versions can be asked for."""

from __future__ import annotations

from django.db.models import QuerySet

from clusters import states
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import Cluster, Container, ImageVersion
from controlplane.core.filters import BooleanFilter, ChoicesFilter, FilterSet, ReferencesFilter, TextsFilter


class ArchivableFilter(FilterSet):
    """What is archived is left out unless it is asked for."""

    archived = BooleanFilter(method="is_archived", label="archived; without it only what is not")

    def filter_queryset(self, queryset: QuerySet[Cluster | Container]) -> QuerySet[Cluster | Container]:
        found: QuerySet[Cluster | Container] = super().filter_queryset(queryset)
        return found.filter(archived_at=None) if self.form.cleaned_data.get("archived") is None else found

    def is_archived(self, rows: QuerySet[Cluster | Container], name: str, value: bool) -> QuerySet[Cluster | Container]:
        return rows.filter(archived_at__isnull=not value)


class ClusterFilter(ArchivableFilter):
    name = TextsFilter(field_name="name", label="name")
    owner = TextsFilter(field_name="owner__username", label="user name of whose it is")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    image_version = TextsFilter(field_name="image_version__version", label="image version")

    class Meta:
        model = Cluster
        fields: list[str] = []


class ContainerFilter(ArchivableFilter):
    cluster = ReferencesFilter(field_name="cluster", label="id or uuid of its cluster")
    name = TextsFilter(field_name="name", label="name")
    owner = TextsFilter(field_name="owner__username", label="user name of whose it is")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    status = ChoicesFilter(choices=states.CONTAINER_STATES, field_name="status", label="what it is")
    desired = ChoicesFilter(choices=states.DESIRED, field_name="desired", label="what it is to be")
    location = ChoicesFilter(choices=LOCATIONS, field_name="location", label="location")
    machine_type = ChoicesFilter(choices=MACHINE_TYPES, field_name="machine_type", label="machine type")
    image_version = TextsFilter(field_name="image_version__version", label="image version")

    class Meta:
        model = Container
        fields: list[str] = []


class ImageVersionFilter(FilterSet):
    version = TextsFilter(field_name="version", label="version")
    is_default = BooleanFilter(field_name="is_default", label="default")
    is_deprecated = BooleanFilter(field_name="is_deprecated", label="deprecated")

    class Meta:
        model = ImageVersion
        fields: list[str] = []
