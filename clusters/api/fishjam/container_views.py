"""Fishjam's instances, which it calls jellyfish: the caller's own, whatever their role."""

from __future__ import annotations

from typing import Final

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import DetailSerializer, declared, detail
from accounts.api.v6.base import user_of
from clusters import queries, services, states
from clusters.api.fishjam.base import INSTANCE_ID, Operation, own_cluster, own_container, read_flag, read_id
from clusters.api.fishjam.serializers import (
    ContainerDeletedSerializer,
    ContainerEditSerializer,
    ContainerSerializer,
    CountSerializer,
    NewContainerSerializer,
    container_row,
    shown_container,
)
from clusters.models import Container

CHOICE: Final = [
    OpenApiParameter(
        "cluster_uuid_hex", {"type": ["string", "null"]}, "query", description="Only instances of this cluster."
    ),
    OpenApiParameter(
        "include_archived", {"type": "boolean", "default": False}, "query", description="Dropped instances, too."
    ),
]


class Instances(Operation):
    noun = "own container"

    @declared(
        "fishjam_list_jellyfish",
        "Instances of the caller, the oldest first",
        200,
        ContainerSerializer(many=True),
        *(401, 422),
        parameters=CHOICE,
    )
    def get(self, request: Request) -> Response:
        rows = list(chosen(request).order_by("pk"))
        # Of those that are gone nothing stands, and there is no end to how many they are.
        stands = queries.placements_of([row.pk for row in rows if row.status != states.DELETED])
        return Response([container_row(row, stands) for row in rows])

    @declared(
        "fishjam_create_jellyfish",
        "Start an instance in a cluster",
        201,
        ContainerSerializer,
        *(400, 401, 403, 404, 409, 422, 500),
        request=NewContainerSerializer,
    )
    def post(self, request: Request) -> Response:
        user, given = user_of(request), self.taken(NewContainerSerializer)
        cluster = own_cluster(user, given.pop("cluster_uuid_hex"))
        made = services.make_container(cluster=cluster, actor=user, **given)
        return Response(container_row(made, {}), status=201)


class InstanceCount(Operation):
    noun = "own container"

    @declared(
        "fishjam_count_jellyfish",
        "How many instances the caller has",
        200,
        CountSerializer,
        *(401, 422),
        parameters=CHOICE,
    )
    def get(self, request: Request) -> Response:
        return Response({"count": chosen(request).count()})


class OneInstance(Operation):
    noun = "own container"

    @declared(
        "fishjam_get_jellyfish",
        "One instance, also after it was dropped",
        200,
        ContainerSerializer,
        *(401, 404),
        parameters=[INSTANCE_ID],
    )
    def get(self, request: Request, jellyfish_uuid_hex: str) -> Response:
        return Response(shown_container(own_container(user_of(request), jellyfish_uuid_hex)))

    @declared(
        "fishjam_edit_jellyfish",
        "Have an instance that runs, or has failed, be of another size, elsewhere or under another routing key",
        200,
        DetailSerializer,
        *(400, 401, 403, 404, 409, 422),
        request=ContainerEditSerializer,
        parameters=[INSTANCE_ID],
    )
    def put(self, request: Request, jellyfish_uuid_hex: str) -> Response:
        user = user_of(request)
        container = own_container(user, jellyfish_uuid_hex)
        services.change_container(container=container, actor=user, **self.taken(ContainerEditSerializer))
        return detail("The instance is changed.")

    @declared(
        "fishjam_drop_jellyfish",
        "Drop an instance: it is archived at once, and ends soon",
        200,
        ContainerDeletedSerializer,
        *(400, 401, 403, 404, 500),
        parameters=[INSTANCE_ID],
    )
    def delete(self, request: Request, jellyfish_uuid_hex: str) -> Response:
        user = user_of(request)
        dropped = services.drop_container(container=own_container(user, jellyfish_uuid_hex), actor=user)
        return Response({"uuid": str(dropped.uuid), "detail": "The instance is being deleted."})


def chosen(request: Request) -> QuerySet[Container]:
    """The caller's containers that the query asks for. Raises BadQuery."""
    rows = queries.own_containers(user_of(request))
    if not read_flag(request, "include_archived"):
        rows = rows.filter(archived_at=None)
    if text := request.query_params.get("cluster_uuid_hex"):
        key = read_id(text)
        rows = rows.filter(cluster__uuid=key) if key else rows.none()
    return rows
