"""What the Fishjam operations of clusters take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from clusters import queries, states
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE, LOCATIONS, MACHINE_TYPES
from clusters.models import Cluster, Container, Placement, RecordingSettings
from clusters.services import token_of
from clusters.services.clusters import MAX_TOKEN
from clusters.services.containers import MAX_NAME, MAX_ROUTING_KEY
from clusters.services.recordings import BASE_PATH, BUCKET_NAME, BUCKET_REGION, FIELDS, ROLE_ARN, trimmed
from controlplane.core.bodies import OpenBody

IMAGE_VERSION_LENGTH: Final = 128
# Fishjam's words; the states that it has none for are shown as the nearest.
_NEAREST: Final = {states.UNHEALTHY: "running", states.STOPPING: "stopped"}
SHOWN_STATES: Final = ("pending", "creating", "running", "reconfiguring", "deleting", "deleted", "failed", "stopped")


def _text(length: int, **more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=length, trim_whitespace=False, allow_blank=True, **more)


def _machine_type(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(MACHINE_TYPES), **more)


def _location(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(LOCATIONS), **more)


# --- Instances -------------------------------------------------------------------------------------


@extend_schema_serializer(component_name="NewContainerIn")
class NewContainerSerializer(OpenBody):
    cluster_uuid_hex = serializers.CharField(allow_blank=True)
    machine_type = _machine_type(default=DEFAULT_MACHINE_TYPE)
    location = _location(default=DEFAULT_LOCATION)
    name = _text(MAX_NAME, required=False, allow_null=True)
    routing_key = _text(
        MAX_ROUTING_KEY,
        required=False,
        allow_null=True,
        help_text="Leads clients to this instance: letters, digits, hyphens and underscores. Generated when null.",
    )


@extend_schema_serializer(component_name="ContainerEditIn")
class ContainerEditSerializer(OpenBody):
    machine_type = _machine_type()
    location = _location()
    routing_key = _text(MAX_ROUTING_KEY)


@extend_schema_serializer(component_name="ContainerOut")
class ContainerSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    uuid = serializers.CharField()
    status = serializers.ChoiceField(choices=SHOWN_STATES)
    container_id = serializers.CharField(
        allow_null=True, help_text="What its place calls it; null when nothing stands."
    )
    machine_type = _machine_type()
    location = _location()
    routing_key = serializers.CharField(allow_null=True)
    cluster_uuid = serializers.CharField()


@extend_schema_serializer(component_name="ContainerDeletedOut")
class ContainerDeletedSerializer(serializers.Serializer[Any]):
    uuid = serializers.CharField()
    detail = serializers.CharField()


@extend_schema_serializer(component_name="CountOut")
class CountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0)


def container_row(container: Container, placements: Mapping[int, Placement]) -> dict[str, Any]:
    """A container as Fishjam's clients know it; `placements` as queries.placements_of has them."""
    stands = placements.get(container.pk)
    return {
        "name": container.name,
        "uuid": str(container.uuid),
        "status": _NEAREST.get(container.status, container.status.lower()),
        "container_id": (stands.run or stands.handle or None) if stands else None,
        "machine_type": container.machine_type,
        "location": container.location,
        "routing_key": container.routing_key,
        "cluster_uuid": str(container.cluster.uuid),
    }


def shown_container(container: Container) -> dict[str, Any]:
    return container_row(container, queries.placements_of([container.pk]))


# --- Clusters --------------------------------------------------------------------------------------


@extend_schema_serializer(component_name="ClusterIn")
class NewClusterSerializer(OpenBody):
    image_version = _text(IMAGE_VERSION_LENGTH)
    name = _text(MAX_NAME)
    token = _text(MAX_TOKEN, required=False, allow_null=True, help_text="Generated when null.")


@extend_schema_serializer(component_name="ClusterEditIn")
class ClusterEditSerializer(OpenBody):
    """Null or absent leaves the value as it is."""

    image_version = _text(IMAGE_VERSION_LENGTH, required=False, allow_null=True)
    name = _text(MAX_NAME, required=False, allow_null=True)
    token = _text(MAX_TOKEN, required=False, allow_null=True)


@extend_schema_serializer(component_name="ClusterOut")
class ClusterSerializer(serializers.Serializer[Any]):
    image_version = serializers.CharField()
    uuid = serializers.CharField()
    name = serializers.CharField()
    token = serializers.CharField(help_text="The token that the cluster's servers accept.")
    status = serializers.ChoiceField(choices=states.CLUSTER_STATES, help_text="Of its instances.")


@extend_schema_serializer(component_name="DeletedClusterOut")
class DeletedClusterSerializer(serializers.Serializer[Any]):
    uuid = serializers.CharField()
    detail = serializers.CharField()


def cluster_row(cluster: Cluster, counts: Mapping[int, Mapping[str, int]]) -> dict[str, Any]:
    """A cluster as its owner sees it, with its token; `counts` as queries.counts_of has them."""
    return {
        "image_version": cluster.image_version.version,
        "uuid": str(cluster.uuid),
        "name": cluster.name,
        "token": token_of(cluster),
        "status": queries.status_of(counts.get(cluster.pk, {})),
    }


# --- What there is to choose from ------------------------------------------------------------------


@extend_schema_serializer(component_name="ImageVersionOut")
class ImageVersionSerializer(serializers.Serializer[Any]):
    image_version = serializers.CharField()
    is_default = serializers.BooleanField()
    is_deprecated = serializers.BooleanField()


@extend_schema_serializer(component_name="MachineLocationOut")
class MachineLocationSerializer(serializers.Serializer[Any]):
    location = _location()
    display_name = serializers.CharField()
    machine_types = serializers.ListField(child=_machine_type(), help_text="The smallest first.")


# --- Recordings ------------------------------------------------------------------------------------


@extend_schema_serializer(component_name="RecordingSettingsIn")
class RecordingSettingsSerializer(OpenBody):
    role_arn = _text(ROLE_ARN, help_text="A role in your account of AWS that you let us take.")
    bucket_region = _text(BUCKET_REGION)
    bucket_name = _text(BUCKET_NAME)
    base_path = _text(BASE_PATH, default="/")


@extend_schema_serializer(component_name="RecordingSettingsOut")
class ShownRecordingSettingsSerializer(serializers.Serializer[Any]):
    role_arn = serializers.CharField()
    bucket_region = serializers.CharField()
    bucket_name = serializers.CharField()
    base_path = serializers.CharField()
    trimmed_base_path = serializers.CharField(help_text="base_path without outer slashes.")


@extend_schema_serializer(component_name="ValidateSettingsOut")
class ValidatedSerializer(serializers.Serializer[Any]):
    failing_field = serializers.ChoiceField(choices=FIELDS, allow_null=True, help_text="Null when nothing is wrong.")
    detail = serializers.CharField()


def settings_row(row: RecordingSettings) -> dict[str, Any]:
    return {**{name: getattr(row, name) for name in FIELDS}, "trimmed_base_path": trimmed(row.base_path)}
