"""What clusters, containers, image versions and rollouts take and show."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Customer, User
from clusters import queries, services, states
from clusters.judging import REASONS
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE, LOCATIONS, MACHINE_TYPES
from clusters.models import Cluster, Container, ImageVersion, Location, Placement, Rollout
from clusters.services.clusters import MAX_TOKEN
from clusters.services.containers import MAX_NAME, MAX_ROUTING_KEY, MOST
from clusters.services.image_versions import MAX_PORT, MOST_PORTS
from controlplane.core.bodies import Body

_REFERENCE = "Its id or uuid."


def _name(**more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=MAX_NAME, trim_whitespace=False, **more)


def _location(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(LOCATIONS), **more)


def _machine_type(**more: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=list(MACHINE_TYPES), **more)


def _version(**more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=128, trim_whitespace=False, help_text="By its name.", **more)


# --- Clusters --------------------------------------------------------------------------------------


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    """`context["counts"]`: containers by state of each cluster; `context["reader"]`: who reads."""

    owner = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    image_version = serializers.SlugRelatedField[ImageVersion](slug_field="version", read_only=True)
    token = serializers.SerializerMethodField(
        help_text="Of its servers' API, to its owner; null to everybody else.", allow_null=True
    )
    status = serializers.SerializerMethodField()
    containers = serializers.SerializerMethodField(help_text="How many there are in each state.")
    created = serializers.DateTimeField(source="created_at", read_only=True)
    archived = serializers.DateTimeField(source="archived_at", read_only=True, allow_null=True)

    class Meta:
        model = Cluster
        fields = (
            *("id", "uuid", "owner", "name", "image_version", "token", "status", "containers"),
            *("created", "archived"),
        )
        read_only_fields = fields

    def get_token(self, cluster: Cluster) -> str | None:
        reader: User = self.context["reader"]
        return services.token_of(cluster) if reader.pk == cluster.owner_id else None

    @extend_schema_field(serializers.ChoiceField(choices=states.CLUSTER_STATES))
    def get_status(self, cluster: Cluster) -> str:
        return queries.status_of(self.context["counts"].get(cluster.pk, {}))

    def get_containers(self, cluster: Cluster) -> dict[str, int]:
        counts: dict[str, int] = self.context["counts"].get(cluster.pk, {})
        return counts


class NewClusterSerializer(Body):
    name = _name()
    image_version = _version()
    token = serializers.CharField(
        max_length=MAX_TOKEN,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        help_text="Of its servers' API; without one it is given one.",
    )


class ClusterChangeSerializer(Body):
    name = _name(required=False)
    image_version = _version(required=False)
    token = serializers.CharField(max_length=MAX_TOKEN, required=False, trim_whitespace=False)


class ScaleSerializer(Body):
    count = serializers.IntegerField(min_value=0, max_value=MOST, help_text="How many containers there are to be.")
    location = _location(default=DEFAULT_LOCATION)
    machine_type = _machine_type(default=DEFAULT_MACHINE_TYPE)


# --- Containers ------------------------------------------------------------------------------------


class AddressSerializer(serializers.Serializer[Any]):
    port = serializers.IntegerField(help_text="As the image version has it.")
    address = serializers.CharField(help_text="Where it is reached: host and port.")


class ContainerSerializer(serializers.ModelSerializer[Container]):
    """`context["placements"]`: what serves of each container, by its id."""

    cluster = serializers.UUIDField(source="cluster.uuid", read_only=True)
    owner = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    image_version = serializers.SlugRelatedField[ImageVersion](slug_field="version", read_only=True)
    desired = serializers.ChoiceField(choices=states.DESIRED, help_text="What it is to be.")
    status = serializers.ChoiceField(choices=states.CONTAINER_STATES, help_text="What it is.")
    reason = serializers.SerializerMethodField(help_text="Why it is not as wanted; null when it is.")
    place = serializers.SerializerMethodField(help_text="Cloud and region; null while it is nowhere.")
    address = serializers.SerializerMethodField(help_text="Host and port of its first port, while it runs.")
    addresses = serializers.SerializerMethodField(help_text="Of all its ports.")
    is_healthy = serializers.SerializerMethodField(help_text="What its health check said last; null: nothing yet.")
    restarts = serializers.SerializerMethodField(help_text="How often it was started again.")
    created = serializers.DateTimeField(source="created_at", read_only=True)
    moved = serializers.DateTimeField(source="moved_at", read_only=True)
    started = serializers.DateTimeField(source="started_at", read_only=True, allow_null=True)
    archived = serializers.DateTimeField(source="archived_at", read_only=True, allow_null=True)

    class Meta:
        model = Container
        fields = (
            *("id", "uuid", "cluster", "owner", "name", "routing_key", "location", "machine_type", "image_version"),
            *("desired", "status", "reason", "detail", "is_draining", "place", "address", "addresses", "is_healthy"),
            *("restarts", "created", "moved", "started", "archived"),
        )
        read_only_fields = fields
        extra_kwargs = {"detail": {"help_text": "In its place's own words."}}

    def _placement(self, container: Container) -> Placement | None:
        found: Placement | None = self.context["placements"].get(container.pk)
        return found

    @extend_schema_field(serializers.ChoiceField(choices=[*REASONS], allow_null=True))
    def get_reason(self, container: Container) -> str | None:
        return container.reason or None

    def get_place(self, container: Container) -> str | None:
        placement = self._placement(container)
        return str(placement.place) if placement else None

    def get_address(self, container: Container) -> str | None:
        found = self.get_addresses(container)
        return found[0]["address"] if found else None

    @extend_schema_field(AddressSerializer(many=True))
    def get_addresses(self, container: Container) -> list[dict[str, Any]]:
        return queries.addresses_of(container, self._placement(container))

    def get_is_healthy(self, container: Container) -> bool | None:
        placement = self._placement(container)
        return placement.is_healthy if placement else None

    def get_restarts(self, container: Container) -> int:
        placement = self._placement(container)
        return placement.restarts if placement else 0


class NewContainerSerializer(Body):
    cluster = serializers.CharField(max_length=36, help_text=_REFERENCE)
    location = _location(default=DEFAULT_LOCATION)
    machine_type = _machine_type(default=DEFAULT_MACHINE_TYPE)
    name = _name(required=False, allow_null=True)
    routing_key = serializers.CharField(
        max_length=MAX_ROUTING_KEY, required=False, allow_null=True, help_text="Leads clients to this one."
    )


class ContainerChangeSerializer(Body):
    location = _location(required=False)
    machine_type = _machine_type(required=False)
    routing_key = serializers.CharField(max_length=MAX_ROUTING_KEY, required=False)


class ContainerReasonSerializer(serializers.Serializer[Any]):
    container = serializers.UUIDField()
    name = serializers.CharField()
    desired = serializers.ChoiceField(choices=states.DESIRED)
    status = serializers.ChoiceField(choices=states.CONTAINER_STATES)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="In words, the nearest first.")


class ContainerExplanationSerializer(ContainerReasonSerializer):
    handle = serializers.CharField(help_text="What it is called at its place.", allow_null=True)
    place = serializers.CharField(allow_null=True)
    words = serializers.CharField(help_text="What its place says of it.", allow_blank=True)


class ClusterExplanationSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=states.CLUSTER_STATES)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Of the cluster as a whole.")
    containers = ContainerReasonSerializer(many=True, help_text="Those that are not as wanted.")


class OutputSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(allow_blank=True)
    next_after = serializers.IntegerField(help_text="Where the next read goes on.")
    ended = serializers.BooleanField(help_text="There comes no more of this run.")


class TargetSerializer(serializers.Serializer[Any]):
    targets = serializers.ListField(child=serializers.CharField())
    labels = serializers.DictField(child=serializers.CharField())


# --- Image versions and locations ------------------------------------------------------------------


class PortSerializer(Body):
    number = serializers.IntegerField(min_value=1, max_value=MAX_PORT)
    protocol = serializers.ChoiceField(choices=["tcp", "udp"], default="tcp")


class ImageVersionSerializer(serializers.ModelSerializer[ImageVersion]):
    command = serializers.ListField(child=serializers.CharField())
    ports = PortSerializer(many=True)
    customers = serializers.SerializerMethodField(help_text="Who may choose it, to staff; none: everybody.")
    created = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ImageVersion
        fields = (
            *("id", "version", "image", "command", "ports", "probe_port", "probe_path", "metrics_port"),
            *("metrics_path", "max_restarts", "is_default", "is_deprecated", "customers", "created"),
        )
        read_only_fields = fields

    def get_customers(self, version: ImageVersion) -> list[str]:
        reader: User = self.context["reader"]
        if not reader.is_staff:
            return []
        return sorted(customer.name for customer in version.customers.all())


class _CustomersField(serializers.ListField):
    def __init__(self, **more: Any) -> None:
        child = serializers.SlugRelatedField[Customer](slug_field="name", queryset=Customer.objects.all())
        super().__init__(child=child, max_length=1000, help_text="By name: who may choose it; none: everybody.", **more)


class NewImageVersionSerializer(Body):
    version = serializers.CharField(max_length=128, trim_whitespace=False)
    image = serializers.CharField(max_length=255)
    command = serializers.ListField(
        child=serializers.CharField(max_length=4096, trim_whitespace=False), max_length=1000, required=False
    )
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=32768, trim_whitespace=False), required=False
    )
    ports = PortSerializer(many=True, required=False, max_length=MOST_PORTS)  # type: ignore[call-arg] # of a list's
    probe_port = serializers.IntegerField(min_value=1, max_value=MAX_PORT, required=False, allow_null=True)
    probe_path = serializers.CharField(max_length=255, required=False, allow_blank=True)
    metrics_port = serializers.IntegerField(min_value=1, max_value=MAX_PORT, required=False, allow_null=True)
    metrics_path = serializers.CharField(max_length=255, required=False)
    max_restarts = serializers.IntegerField(min_value=0, max_value=10**6, required=False, allow_null=True)
    is_default = serializers.BooleanField(required=False)
    is_deprecated = serializers.BooleanField(required=False)
    customers = _CustomersField(required=False)


class ImageVersionChangeSerializer(Body):
    is_default = serializers.BooleanField(required=False)
    is_deprecated = serializers.BooleanField(required=False)
    customers = _CustomersField(required=False)


class LocationSerializer(serializers.ModelSerializer[Location]):
    name = serializers.ChoiceField(choices=list(LOCATIONS))
    machine_type = serializers.ChoiceField(choices=list(MACHINE_TYPES))
    title = serializers.SerializerMethodField()
    place = serializers.SerializerMethodField(help_text="The cloud and region that has it; null where none has.")

    class Meta:
        model = Location
        fields = ("id", "name", "title", "machine_type", "vcpus_milli", "memory_mib", "is_offered", "place")
        read_only_fields = fields

    def get_title(self, location: Location) -> str:
        return LOCATIONS[location.name].title

    def get_place(self, location: Location) -> str | None:
        where = queries.place_of(location)
        return f"{where[0]}/{where[1]}" if where else None


class LocationChangeSerializer(Body):
    cloud = serializers.ChoiceField(
        choices=["", "aws", "local"], required=False, allow_blank=True, help_text="Empty: where the deployment decides."
    )
    region = serializers.CharField(max_length=64, required=False, allow_blank=True)
    vcpus_milli = serializers.IntegerField(min_value=1, max_value=10**7, required=False)
    memory_mib = serializers.IntegerField(min_value=1, max_value=10**8, required=False)
    is_offered = serializers.BooleanField(required=False)


# --- Rollouts --------------------------------------------------------------------------------------


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    before = serializers.SlugRelatedField[ImageVersion](slug_field="version", read_only=True)
    target = serializers.SlugRelatedField[ImageVersion](slug_field="version", read_only=True)
    status = serializers.ChoiceField(choices=states.ROLLOUT_STATES)
    created = serializers.DateTimeField(source="created_at", read_only=True)
    ended = serializers.DateTimeField(source="ended_at", read_only=True, allow_null=True)

    class Meta:
        model = Rollout
        fields = (
            "id",
            "uuid",
            "before",
            "target",
            "max_unavailable",
            "is_back",
            "status",
            "reason",
            "created",
            "ended",
        )
        read_only_fields = fields
        extra_kwargs = {"is_back": {"help_text": "It goes back to the version before."}}


class NewRolloutSerializer(Body):
    image_version = _version()
    max_unavailable = serializers.IntegerField(
        min_value=1, max_value=MOST, default=1, help_text="So many are changed, or not well, at a time."
    )
