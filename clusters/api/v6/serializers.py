"""What clusters, containers, rollouts and image versions take and show."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from clusters import states
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE, LOCATIONS, MACHINE_TYPES
from clusters.models import ImageVersion
from clusters.providers.hosting import Protocol
from clusters.services.clusters import MAX_TOKEN
from clusters.services.containers import MAX_NAME, MAX_ROUTING_KEY, MOST
from clusters.states import CLUSTER_STATES
from controlplane.core.bodies import Body


def _name(**more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=MAX_NAME, trim_whitespace=False, **more)


def _version(**more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=128, trim_whitespace=False, **more)


def _location(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(LOCATIONS), **more)


def _machine_type(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(MACHINE_TYPES), **more)


def _routing_key(**more: Any) -> serializers.CharField:
    words = "Letters, digits, hyphens and underscores; once in a cluster."
    return serializers.CharField(max_length=MAX_ROUTING_KEY, trim_whitespace=False, help_text=words, **more)


# --- Clusters --------------------------------------------------------------------------------------


class ClusterSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    owner = serializers.CharField()
    customer = serializers.CharField(allow_null=True)
    image_version = serializers.CharField(help_text="What new containers run.")
    status = serializers.ChoiceField(choices=list(CLUSTER_STATES), help_text="What it is, by its containers.")
    containers = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many containers are in each state."
    )
    token = serializers.CharField(allow_null=True, help_text="Of its servers' API; null to all but its owner.")
    created = serializers.DateTimeField()
    archived = serializers.DateTimeField(allow_null=True)


class NewClusterSerializer(Body):
    name = _name()
    image_version = _version()
    token = serializers.CharField(
        max_length=MAX_TOKEN, required=False, trim_whitespace=False, help_text="Without it, one is made."
    )


class ClusterChangeSerializer(Body):
    name = _name(required=False)
    image_version = _version(required=False)
    token = serializers.CharField(max_length=MAX_TOKEN, required=False, trim_whitespace=False)


class ScaleSerializer(Body):
    count = serializers.IntegerField(min_value=0, max_value=MOST, help_text="Of containers in all.")
    location = _location(default=DEFAULT_LOCATION)
    machine_type = _machine_type(default=DEFAULT_MACHINE_TYPE)


class RolloutSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    cluster = serializers.UUIDField()
    before = serializers.CharField(help_text="The image version that it began with.")
    image_version = serializers.CharField(help_text="The one that it leads to.")
    max_unavailable = serializers.IntegerField()
    is_back = serializers.BooleanField(help_text="It is being rolled back, or was.")
    status = serializers.ChoiceField(choices=states.ROLLOUT_STATES)
    reason = serializers.CharField(help_text="Why it paused by itself.")
    containers_changed = serializers.IntegerField(allow_null=True, help_text="Null once it has ended.")
    containers_total = serializers.IntegerField(allow_null=True, help_text="Null once it has ended.")
    created = serializers.DateTimeField()
    ended = serializers.DateTimeField(allow_null=True)


class NewRolloutSerializer(Body):
    image_version = _version()
    max_unavailable = serializers.IntegerField(min_value=1, max_value=MOST, default=1)


# --- Containers ------------------------------------------------------------------------------------


class ClusterOfSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    name = serializers.CharField()


class AddressSerializer(serializers.Serializer[Any]):
    port = serializers.IntegerField(help_text="Of the container.")
    protocol = serializers.ChoiceField(choices=[each.value for each in Protocol])
    address = serializers.CharField(help_text="host:port, where that port is reached.")


class ContainerSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    cluster = ClusterOfSerializer()
    owner = serializers.CharField()
    customer = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    routing_key = serializers.CharField()
    location = serializers.CharField()
    machine_type = serializers.CharField()
    image_version = serializers.CharField()
    desired = serializers.ChoiceField(choices=states.DESIRED, help_text="What it is to be.")
    status = serializers.ChoiceField(choices=states.CONTAINER_STATES, help_text="What it is.")
    reason = serializers.CharField(help_text="Why it is not as wanted, for programs; else empty.")
    detail = serializers.CharField(help_text="The same in the place's own words.")
    is_draining = serializers.BooleanField()
    is_healthy = serializers.BooleanField(allow_null=True)
    address = serializers.CharField(allow_null=True, help_text="host:port of its first port, while it runs.")
    addresses = AddressSerializer(many=True)
    cloud = serializers.CharField(allow_null=True)
    region = serializers.CharField(allow_null=True)
    restarts = serializers.IntegerField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True, help_text="When it ran first.")
    run_started = serializers.DateTimeField(allow_null=True, help_text="When the present run began.")
    last_status_change = serializers.DateTimeField()
    archived = serializers.DateTimeField(allow_null=True)


class NewContainerSerializer(Body):
    cluster = serializers.CharField(max_length=36, help_text="Its id or uuid.")
    location = _location(default=DEFAULT_LOCATION)
    machine_type = _machine_type(default=DEFAULT_MACHINE_TYPE)
    name = _name(required=False)
    routing_key = _routing_key(required=False)


class ContainerChangeSerializer(Body):
    location = _location(required=False)
    machine_type = _machine_type(required=False)
    routing_key = _routing_key(required=False)


class HostingPlaceSerializer(serializers.Serializer[Any]):
    cloud = serializers.CharField()
    region = serializers.CharField()
    is_kept = serializers.BooleanField(help_text="A machine looks after it just now.")
    seen_at = serializers.DateTimeField(allow_null=True)
    failure = serializers.CharField(help_text="Why it could not be reached last; else empty.")
    failing_since = serializers.DateTimeField(allow_null=True)


class UnwellSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    desired = serializers.ChoiceField(choices=states.DESIRED)
    status = serializers.ChoiceField(choices=states.CONTAINER_STATES)
    since = serializers.DateTimeField()
    reason = serializers.CharField(help_text="For programs; empty: nothing is wrong.")
    words = serializers.CharField(help_text="The reason in words.")
    detail = serializers.CharField(help_text="What its place said.")
    place = HostingPlaceSerializer(allow_null=True)
    handle = serializers.CharField(help_text="What its place calls it.")
    restarts = serializers.IntegerField()


class ContainerExplanationSerializer(UnwellSerializer):
    said = serializers.CharField(help_text="What its place says, asked just now.")
    events = serializers.CharField(help_text="Where its events are read.")


class ClusterExplanationSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=list(CLUSTER_STATES))
    containers = UnwellSerializer(many=True, help_text="Those that are not as wanted, 100 at most.")
    rollouts = RolloutSerializer(many=True, help_text="Those that are under way.")


class TargetSerializer(serializers.Serializer[Any]):
    targets = serializers.ListField(child=serializers.CharField())
    labels = serializers.DictField(child=serializers.CharField())


# --- What there is to choose from --------------------------------------------------------------------


class PortSerializer(Body):
    number = serializers.IntegerField(min_value=1, max_value=65535)
    protocol = serializers.ChoiceField(choices=[each.value for each in Protocol], default="tcp")


class ImageVersionSerializer(serializers.ModelSerializer[ImageVersion]):
    ports = PortSerializer(many=True)
    created = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ImageVersion
        fields: tuple[str, ...] = ("id", "version", "ports", "is_default", "is_deprecated", "created")
        read_only_fields = fields


class WholeImageVersionSerializer(ImageVersionSerializer):
    """As staff see it."""

    command = serializers.ListField(child=serializers.CharField(), required=False)
    env = serializers.DictField(child=serializers.CharField(), required=False)
    customers = serializers.SlugRelatedField[Any](slug_field="name", many=True, read_only=True)

    class Meta(ImageVersionSerializer.Meta):
        fields = (
            *("id", "version", "image", "command", "env", "ports", "probe_port", "probe_path", "metrics_port"),
            *("metrics_path", "max_restarts", "is_default", "is_deprecated", "customers", "created"),
        )
        read_only_fields = fields


def _customers(**more: Any) -> serializers.ListField:
    words = "Names of those who may choose it; none: everybody."
    child = serializers.CharField(max_length=255)
    return serializers.ListField(child=child, max_length=1000, required=False, help_text=words, **more)


class NewImageVersionSerializer(Body):
    version = _version()
    image = serializers.CharField(max_length=255)
    command = serializers.ListField(child=serializers.CharField(max_length=4096), max_length=100, required=False)
    env = serializers.DictField(child=serializers.CharField(max_length=4096, allow_blank=True), required=False)
    ports = PortSerializer(many=True, required=False)
    probe_port = serializers.IntegerField(min_value=1, max_value=65535, required=False, allow_null=True)
    probe_path = serializers.CharField(max_length=255, required=False, allow_blank=True)
    metrics_port = serializers.IntegerField(min_value=1, max_value=65535, required=False, allow_null=True)
    metrics_path = serializers.CharField(max_length=255, required=False, allow_blank=True)
    max_restarts = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    is_default = serializers.BooleanField(default=False)
    is_deprecated = serializers.BooleanField(default=False)
    customers = _customers()


class ImageVersionChangeSerializer(Body):
    is_default = serializers.BooleanField(required=False)
    is_deprecated = serializers.BooleanField(required=False)
    customers = _customers()


class MachineTypeSerializer(serializers.Serializer[Any]):
    machine_type = serializers.CharField()
    vcpus_milli = serializers.IntegerField(help_text="Thousandths of a vCPU.")
    memory_mib = serializers.IntegerField()
    is_offered = serializers.BooleanField()
    is_available = serializers.BooleanField(help_text="It is offered, and there is a place here that has it.")
    cloud = serializers.CharField(allow_null=True)
    region = serializers.CharField(allow_null=True)


class LocationSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    machine_types = MachineTypeSerializer(many=True)


class OutputSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(allow_blank=True)
    next_after = serializers.IntegerField(help_text="Where the next read goes on.")
    ended = serializers.BooleanField(help_text="There comes no more of this run.")
