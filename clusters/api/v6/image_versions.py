"""What containers can run, and where."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import queries, services
from clusters.api.v6 import rows, serializers
from clusters.api.v6.filters import ImageVersionFilter
from clusters.models import ImageVersion, Location
from controlplane.core.pagination import Key, Orders


@extend_schema_view(
    list=extend_schema(
        summary="Image versions", description="All to staff; to everybody else those that they may choose."
    ),
)
class ImageVersions(NativeViewSet):
    """What containers run, under the name that it is chosen by."""

    queryset = ImageVersion.objects.none()
    serializer_class = serializers.ImageVersionSerializer
    filterset_class = ImageVersionFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "version": Key("version"), "created": Key("created_at")}
    refusals: ClassVar = {"create": (403, 409), "partial_update": (403, 404)}

    def list(self, request: Request) -> Response:
        return self.page(queries.choosable_versions(user_of(request)))

    @extend_schema(summary="An image version")
    def retrieve(self, request: Request, pk: str) -> Response:
        row = queries.find_version_for(user_of(request), pk)
        return Response(serializers.ImageVersionSerializer(row).data)

    @extend_schema(
        summary="Add an image version",
        description="For admins. What it runs is never changed: add another.",
        request=serializers.NewImageVersionSerializer,
        responses={201: serializers.WholeImageVersionSerializer},
        examples=[
            OpenApiExample(
                "A server",
                request_only=True,
                value={"version": "2.0", "image": "example.com/media:2.0", "ports": [{"number": 5002}]},
            )
        ],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "clusters", access.CHANGE)
        given = self._given(serializers.NewImageVersionSerializer)
        made = self.once(lambda: [str(services.add_image_version(actor=actor, **given).pk)])
        row = queries.find_version_for(actor, made[0])
        return self.made(serializers.WholeImageVersionSerializer(row).data, "image-version-detail", row.pk)

    @extend_schema(
        summary="Say who may choose an image version, and whether it still should be",
        description="For admins.",
        request=serializers.ImageVersionChangeSerializer,
        responses={200: serializers.WholeImageVersionSerializer},
        examples=[OpenApiExample("Deprecate it", request_only=True, value={"is_deprecated": True})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        access.demand(actor, "clusters", access.CHANGE)
        row = queries.find_version_for(actor, pk)
        given = self._given(serializers.ImageVersionChangeSerializer)
        row = services.edit_image_version(row=row, actor=actor, **given)
        return Response(serializers.WholeImageVersionSerializer(row).data)

    def _given(self, kind: Any) -> dict[str, Any]:
        given = self.taken(kind)
        if "customers" in given:
            given["customers"] = queries.customers_named(given["customers"])
        return given


class Locations(NativeViewSet):
    """Where containers can be had, and of what size."""

    queryset = Location.objects.none()
    serializer_class = serializers.LocationSerializer
    pagination_class = None
    filter_backends = ()

    @extend_schema(
        summary="Locations, with their machine types",
        description="And the place that each means in this deployment.",
    )
    def list(self, request: Request) -> Response:
        return Response(rows.locations())
