"""Fishjam's clusters: the caller's own, whatever their role, with their tokens."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import DetailSerializer, declared, detail
from accounts.api.v6.base import user_of
from clusters import queries, services
from clusters.api.fishjam.base import CLUSTER_ID, Operation, own_cluster
from clusters.api.fishjam.serializers import (
    ClusterEditSerializer,
    ClusterSerializer,
    DeletedClusterSerializer,
    NewClusterSerializer,
    cluster_row,
)


class Clusters(Operation):
    noun = "own cluster"

    @declared(
        "fishjam_list_clusters",
        "Clusters of the caller, the oldest first",
        200,
        ClusterSerializer(many=True),
        401,
    )
    def get(self, request: Request) -> Response:
        rows = list(queries.own_clusters(user_of(request)).order_by("pk"))
        counts = queries.counts_of(row.pk for row in rows)
        return Response([cluster_row(row, counts) for row in rows])

    @declared(
        "fishjam_create_cluster",
        "Make a cluster, without instances",
        201,
        ClusterSerializer,
        *(400, 401, 403, 409, 422, 500),
        request=NewClusterSerializer,
    )
    def post(self, request: Request) -> Response:
        user = user_of(request)
        made = services.make_cluster(owner=user, actor=user, **self.taken(NewClusterSerializer))
        return Response(cluster_row(made, {}), status=201)


class OneCluster(Operation):
    noun = "own cluster"

    @declared("fishjam_get_cluster", "One cluster", 200, ClusterSerializer, *(401, 404), parameters=[CLUSTER_ID])
    def get(self, request: Request, cluster_uuid_hex: str) -> Response:
        row = own_cluster(user_of(request), cluster_uuid_hex)
        return Response(cluster_row(row, queries.counts_of([row.pk])))

    @declared(
        "fishjam_edit_cluster",
        "Change a cluster; another image version or token reconfigures all its instances, or none",
        200,
        DetailSerializer,
        *(400, 401, 403, 404, 409, 422),
        request=ClusterEditSerializer,
        parameters=[CLUSTER_ID],
    )
    def patch(self, request: Request, cluster_uuid_hex: str) -> Response:
        user = user_of(request)
        cluster = own_cluster(user, cluster_uuid_hex)
        services.change_cluster(cluster=cluster, actor=user, **self.taken(ClusterEditSerializer))
        return detail("The cluster is saved.")

    @declared(
        "fishjam_delete_cluster",
        "Delete a cluster that has no active instances",
        200,
        DeletedClusterSerializer,
        *(400, 401, 403, 404, 500),
        parameters=[CLUSTER_ID],
    )
    def delete(self, request: Request, cluster_uuid_hex: str) -> Response:
        user = user_of(request)
        gone = services.archive_cluster(cluster=own_cluster(user, cluster_uuid_hex), actor=user)
        return Response({"uuid": str(gone.uuid), "detail": "The cluster is deleted."})
