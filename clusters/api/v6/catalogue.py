"""What containers can be made of: image versions, and machine types at locations."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import queries, services
from clusters.api.v6 import serializers
from clusters.api.v6.filters import ImageVersionFilter
from clusters.models import ImageVersion, Location
from controlplane.core.pagination import Key, Orders


@extend_schema_view(
    list=extend_schema(summary="Image versions", description="Those that the caller may choose; all to staff."),
    retrieve=extend_schema(summary="An image version, by id"),
)
class ImageVersions(NativeViewSet):
    """What containers run, under the names that clusters choose it by. What one runs is never edited."""

    queryset = ImageVersion.objects.none()
    serializer_class = serializers.ImageVersionSerializer
    filterset_class = ImageVersionFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "version": Key("version"), "created": Key("created_at")}
    refusals: ClassVar = {"create": (409,)}

    def get_serializer_class(self) -> Any:
        bodies = {
            "create": serializers.NewImageVersionSerializer,
            "partial_update": serializers.ImageVersionChangeSerializer,
        }
        return bodies.get(self.action, serializers.ImageVersionSerializer)

    def list(self, request: Request) -> Response:
        rows = queries.choosable_versions(user_of(request)).prefetch_related("customers")
        return self.page(rows, lambda found: [self._data(row) for row in found])

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._data(queries.find_version_for(user_of(request), pk)))

    @extend_schema(
        summary="Add an image version",
        description="For admins. Probe and metrics are at one of its TCP ports.",
        request=serializers.NewImageVersionSerializer,
        responses={201: serializers.ImageVersionSerializer},
        examples=[
            OpenApiExample(
                "A media server",
                request_only=True,
                value={
                    "version": "1.0",
                    "image": "localhost/media:1.0",
                    "ports": [{"number": 5002}],
                    "probe_port": 5002,
                    "probe_path": "/health",
                    "metrics_port": 5002,
                },
            )
        ],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "clusters", access.CHANGE)
        given = self.taken()
        ids = self.once(lambda: [str(services.add_image_version(actor=actor, **given).pk)])
        row = queries.find_version_for(actor, ids[0])
        return self.made(self._data(row), "image-version-detail", row.pk)

    @extend_schema(
        summary="Say who may choose it",
        description="And whether it is the default, or deprecated: what it runs stays. For admins.",
        request=serializers.ImageVersionChangeSerializer,
        responses={200: serializers.ImageVersionSerializer},
        examples=[OpenApiExample("It should not be chosen any more", request_only=True, value={"is_deprecated": True})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        row = queries.find_version_for(actor, pk)
        access.demand(actor, "clusters", access.CHANGE)
        return Response(self._data(services.edit_image_version(row=row, actor=actor, **self.taken())))

    def _data(self, row: ImageVersion) -> Any:
        return serializers.ImageVersionSerializer(row, context={"reader": user_of(self.request)}).data


@extend_schema_view(list=extend_schema(summary="Locations", description="Each machine type at each, and who has it."))
class Locations(NativeViewSet):
    """Where containers can be asked for, and of what size."""

    queryset = Location.objects.none()
    serializer_class = serializers.LocationSerializer
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name")}

    def get_serializer_class(self) -> Any:
        if self.action == "partial_update":
            return serializers.LocationChangeSerializer
        return serializers.LocationSerializer

    def list(self, request: Request) -> Response:
        return self.page(Location.objects.all())

    @extend_schema(
        summary="Say where a machine type at a location is",
        description="How large it is, and whether it can be had. It moves nothing that stands. For admins.",
        request=serializers.LocationChangeSerializer,
        responses={200: serializers.LocationSerializer},
        examples=[OpenApiExample("Not to be had", request_only=True, value={"is_offered": False})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        access.demand(actor, "clusters", access.CHANGE)
        row = services.edit_location(row=queries.find_location(int(pk)), actor=actor, **self.taken())
        return Response(serializers.LocationSerializer(row).data)
