"""What there is to choose from at Fishjam's clusters, and whether the application is up."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import DetailSerializer, OpenOperation, declared, detail
from accounts.api.v6.base import user_of
from clusters import queries
from clusters.api.fishjam.base import Operation
from clusters.api.fishjam.serializers import ImageVersionSerializer, MachineLocationSerializer
from clusters.locations import LOCATIONS


class Healthcheck(OpenOperation):
    @declared("fishjam_healthcheck", "Is the application up", 200, DetailSerializer)
    def get(self, request: Request) -> Response:
        return detail("It is up.")


class Versions(Operation):
    noun = "own cluster"

    @declared(
        "fishjam_list_jellyfish_versions",
        "Image versions that the caller may choose, the default first, then the newest",
        200,
        ImageVersionSerializer(many=True),
        401,
    )
    def get(self, request: Request) -> Response:
        rows = queries.versions_for(user_of(request)).order_by("-is_default", "-pk")
        return Response(
            [
                {"image_version": row.version, "is_default": row.is_default, "is_deprecated": row.is_deprecated}
                for row in rows
            ]
        )


class MachineLocations(Operation):
    noun = "own cluster"

    @declared(
        "fishjam_list_machine_locations",
        "Where instances can be had, and of which sizes",
        200,
        MachineLocationSerializer(many=True),
        401,
    )
    def get(self, request: Request) -> Response:
        return Response(
            [
                {"location": name, "display_name": LOCATIONS[name].title, "machine_types": machine_types}
                for name, machine_types in queries.offered_locations().items()
            ]
        )
