"""Where Fishjam's recordings go: settings of the caller's own clusters, for those who have the feature."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import BadQuery, declared
from accounts.api.v6.base import user_of
from accounts.models import Feature, User
from clusters import queries, services
from clusters.api.fishjam.base import Operation, own_cluster
from clusters.api.fishjam.serializers import (
    RecordingSettingsSerializer,
    ShownRecordingSettingsSerializer,
    ValidatedSerializer,
    settings_row,
)
from clusters.errors import RecordingsUnusable
from clusters.models import Cluster

CLUSTER: Final = OpenApiParameter(
    "cluster_uuid_hex", str, "query", required=True, description="With or without dashes."
)


class RecordingOperation(Operation):
    """Base of what takes the feature, which is asked for before anything else."""

    noun = "own recordings"
    feature: ClassVar[str] = Feature.RECORDINGS

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        services.demand_recordings(user_of(request))


class RecordingsOfCluster(RecordingOperation):
    @declared(
        "fishjam_get_recording_settings",
        "Where the recordings of a cluster go",
        200,
        ShownRecordingSettingsSerializer,
        *(401, 403, 404, 422),
        parameters=[CLUSTER],
    )
    def get(self, request: Request) -> Response:
        cluster = recorded_cluster(request, user_of(request))
        return Response(settings_row(queries.recording_settings_of(cluster)))

    @declared(
        "fishjam_upsert_recording_settings",
        "Say where the recordings of a cluster go",
        200,
        ShownRecordingSettingsSerializer,
        *(401, 403, 404, 422),
        request=RecordingSettingsSerializer,
        parameters=[CLUSTER],
    )
    def put(self, request: Request) -> Response:
        user = user_of(request)
        cluster, given = recorded_cluster(request, user), self.taken(RecordingSettingsSerializer)
        try:
            row = services.set_recording_settings(cluster=cluster, actor=user, **given)
        except RecordingsUnusable as error:
            raise exceptions.ValidationError({str(error.field): [error.message]}) from error
        return Response(settings_row(row))


class Validation(RecordingOperation):
    @declared(
        "fishjam_validate_recording_settings",
        "Try settings: take the role, and write an empty object into the bucket; nothing is stored here",
        200,
        ValidatedSerializer,
        *(400, 401, 403, 422, 503),
        refusing={400: ValidatedSerializer},
        request=RecordingSettingsSerializer,
    )
    def post(self, request: Request) -> Response:
        given = self.taken(RecordingSettingsSerializer)
        try:
            services.try_recording_settings(user=user_of(request), **given)
        except RecordingsUnusable as error:
            return Response({"failing_field": error.field, "detail": error.message}, status=400)
        return Response({"failing_field": None, "detail": "The settings allow us to write."})


def recorded_cluster(request: Request, user: User) -> Cluster:
    """The cluster that the query names. Raises BadQuery, ClusterNotFound."""
    text = request.query_params.get("cluster_uuid_hex")
    if text is None:
        raise BadQuery("cluster_uuid_hex", "This is required.", "required")
    return own_cluster(user, text)
