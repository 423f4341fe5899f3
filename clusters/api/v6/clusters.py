"""Clusters of long-running containers, and their rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import queries, services
from clusters.api.v6 import serializers
from clusters.api.v6.filters import ClusterFilter
from clusters.models import Cluster, Container, Rollout
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders

CLUSTER: Final = OpenApiParameter("cluster", str, "path", description="Its id or uuid.")
NOT_KEPT: Final = {"Cache-Control": "no-store"}


def shown_containers(rows: Sequence[Container]) -> Any:
    """Containers as they are told, with what serves of them."""
    placements = queries.placements_of([row.pk for row in rows])
    return serializers.ContainerSerializer(rows, many=True, context={"placements": placements}).data


@extend_schema_view(
    list=extend_schema(summary="Clusters", description="All to staff; to everybody else their own."),
    retrieve=extend_schema(summary="A cluster, by id or uuid"),
)
class Clusters(NativeViewSet):
    """Long-running containers that share an image version and the token of their servers' API."""

    queryset = Cluster.objects.none()
    serializer_class = serializers.ClusterSerializer
    filterset_class = ClusterFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}
    refusals: ClassVar = {"create": (409,), "partial_update": (409,), "destroy": (409,), "scale": (409,)}

    def get_serializer_class(self) -> Any:
        bodies = {
            "create": serializers.NewClusterSerializer,
            "partial_update": serializers.ClusterChangeSerializer,
            "scale": serializers.ScaleSerializer,
        }
        return bodies.get(self.action, serializers.ClusterSerializer)

    def list(self, request: Request) -> Response:
        answer = self.page(queries.visible_clusters(user_of(request)), self._shown)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._one(self._found(pk, access.READ))

    @extend_schema(
        summary="Make a cluster",
        description="It has no containers yet: POST to `scale/`, or to /v6/containers/.",
        request=serializers.NewClusterSerializer,
        responses={201: serializers.ClusterSerializer},
        examples=[
            OpenApiExample("A cluster", request_only=True, value={"name": "media", "image_version": "1.0"}),
        ],
    )
    def create(self, request: Request) -> Response:
        actor, given = user_of(request), self.taken()
        given["token"] = given.get("token") or None

        def work() -> list[str]:
            return [str(services.make_cluster(owner=actor, actor=actor, **given).pk)]

        row = queries.find_cluster_for(actor, self.once(work)[0], access.READ)
        return self.made(self._shown([row])[0], "cluster-detail", row.pk, headers=NOT_KEPT)

    @extend_schema(
        summary="Change a cluster",
        description="Another image version or token reconfigures every container that runs, at once; while one is "
        "being changed, nothing is. POST to `rollouts/` changes one after the other.",
        request=serializers.ClusterChangeSerializer,
        responses={200: serializers.ClusterSerializer},
        examples=[OpenApiExample("Another version", request_only=True, value={"image_version": "1.1"})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        cluster = self._found(pk, access.CHANGE)
        services.change_cluster(cluster=cluster, actor=user_of(request), **self.taken())
        return self._one(self._found(pk, access.READ))

    @extend_schema(
        summary="Archive a cluster", description="With those of its containers that have failed; not others."
    )
    def destroy(self, request: Request, pk: str) -> Response:
        services.archive_cluster(cluster=self._found(pk, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(
        summary="Have so many containers",
        description="New ones are as asked. Of too many those go first that do least, the newest of them. The answer "
        "has the containers that were made, or are going.",
        request=serializers.ScaleSerializer,
        responses={200: serializers.ContainerSerializer(many=True)},
        examples=[OpenApiExample("Three of them", request_only=True, value={"count": 3})],
    )
    @action(detail=True, methods=["post"], filterset_class=None, pagination_class=None)
    def scale(self, request: Request, pk: str) -> Response:
        cluster, given = self._found(pk, access.CHANGE), self.taken()
        actor = user_of(request)
        ids = self.once(lambda: [str(row.pk) for row in services.scale_cluster(cluster=cluster, actor=actor, **given)])
        rows = queries.visible_containers(actor).filter(pk__in=ids).order_by("pk")
        return Response(shown_containers(list(rows)))

    @extend_schema(
        summary="Why it is not as wanted",
        description="Each container that is not what it is to be, with the reasons in words.",
        responses={200: serializers.ClusterExplanationSerializer},
    )
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        cluster = self._found(pk, access.READ)
        reasons, rows = queries.explained(cluster)
        counts = queries.counts_of([cluster.pk]).get(cluster.pk, {})
        told = [
            {
                "container": row.uuid,
                "name": row.name,
                "desired": row.desired,
                "status": row.status,
                "reasons": each,
            }
            for row, each in rows
        ]
        shown = {"status": queries.status_of(counts), "reasons": reasons, "containers": told}
        return Response(serializers.ClusterExplanationSerializer(shown).data)

    def _found(self, reference: str, right: str) -> Cluster:
        return queries.find_cluster_for(user_of(self.request), reference, right)

    def _shown(self, rows: Sequence[Cluster]) -> Any:
        context = {"counts": queries.counts_of([row.pk for row in rows]), "reader": user_of(self.request)}
        return serializers.ClusterSerializer(rows, many=True, context=context).data

    def _one(self, cluster: Cluster) -> Response:
        return Response(self._shown([cluster])[0], headers=NOT_KEPT)


class Rollouts(NativeViewSet):
    """Changes of a cluster's image version, container after container."""

    queryset = Rollout.objects.none()
    serializer_class = serializers.RolloutSerializer
    orders: ClassVar[Orders] = {"id": Key("pk")}
    default_order = ("-id",)
    refusals: ClassVar = {"create": (409,), "pause": (409,), "resume": (409,), "roll_back": (409,)}

    def get_serializer_class(self) -> Any:
        return serializers.NewRolloutSerializer if self.action == "create" else serializers.RolloutSerializer

    @extend_schema(summary="Rollouts of a cluster", operation_id="list_rollouts", parameters=[CLUSTER])
    def list(self, request: Request, cluster: str) -> Response:
        row = self._cluster(cluster, access.READ)
        return self.page(Rollout.objects.select_related("before", "target").filter(cluster=row))

    @extend_schema(summary="A rollout, by id or uuid", operation_id="get_rollout", parameters=[CLUSTER])
    def retrieve(self, request: Request, cluster: str, pk: str) -> Response:
        return self._shown(self._found(cluster, pk, access.READ))

    @extend_schema(
        summary="Roll out another image version",
        operation_id="create_rollout",
        parameters=[CLUSTER],
        description="At most `max_unavailable` containers are being changed, or not well, at a time. One that does not "
        "come up pauses it.",
        request=serializers.NewRolloutSerializer,
        responses={201: serializers.RolloutSerializer},
        examples=[OpenApiExample("One after the other", request_only=True, value={"image_version": "1.1"})],
    )
    def create(self, request: Request, cluster: str) -> Response:
        row, given, actor = self._cluster(cluster, access.CHANGE), self.taken(), user_of(request)
        ids = self.once(lambda: [str(services.start_rollout(cluster=row, actor=actor, **given).pk)])
        shown = serializers.RolloutSerializer(queries.find_rollout(row, ids[0])).data
        return Response(shown, status=201)

    @extend_schema(
        summary="Change no further containers for now", operation_id="pause_rollout", parameters=[CLUSTER], request=None
    )
    def pause(self, request: Request, cluster: str, pk: str) -> Response:
        rollout = self._found(cluster, pk, access.CHANGE)
        return self._shown(services.pause_rollout(rollout=rollout, actor=user_of(request)))

    @extend_schema(
        summary="Go on with a rollout",
        operation_id="resume_rollout",
        parameters=[CLUSTER],
        description="Those that did not come up are tried again.",
        request=None,
    )
    def resume(self, request: Request, cluster: str, pk: str) -> Response:
        rollout = self._found(cluster, pk, access.CHANGE)
        return self._shown(services.resume_rollout(rollout=rollout, actor=user_of(request)))

    @extend_schema(
        summary="Go back to the version before",
        operation_id="roll_back_rollout",
        parameters=[CLUSTER],
        description="Under the same bound.",
        request=None,
    )
    def roll_back(self, request: Request, cluster: str, pk: str) -> Response:
        rollout = self._found(cluster, pk, access.CHANGE)
        return self._shown(services.roll_back(rollout=rollout, actor=user_of(request)))

    def _cluster(self, reference: str, right: str) -> Cluster:
        return queries.find_cluster_for(user_of(self.request), reference, right)

    def _found(self, cluster: str, reference: str, right: str) -> Rollout:
        return queries.find_rollout(self._cluster(cluster, right), reference)

    def _shown(self, rollout: Rollout) -> Response:
        return Response(serializers.RolloutSerializer(rollout).data)
