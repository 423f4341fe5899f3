"""Clusters, and the rollouts of one."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import explaining, queries, services, states
from clusters.api.v6 import rows, serializers
from clusters.api.v6.filters import ClusterFilter
from clusters.models import Cluster, Rollout
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders

CLUSTER: Final = OpenApiParameter("cluster", str, "path", description="Its id or uuid.")
ROLLOUT: Final = OpenApiParameter("rollout", str, "path", description="Its id or uuid.")


def unarchived(found: QuerySet[Any], request: Request) -> QuerySet[Any]:
    """Without those that are archived, unless the filter was given."""
    return found if request.query_params.get("archived") else found.filter(archived_at=None)


@extend_schema_view(
    list=extend_schema(summary="Clusters", description="All to staff; to everybody else their own."),
)
class Clusters(NativeViewSet):
    """Containers that share an image version and a token."""

    queryset = Cluster.objects.none()
    serializer_class = serializers.ClusterSerializer
    filterset_class = ClusterFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}
    refusals: ClassVar = {
        "create": (409,),
        "partial_update": (403, 404, 409),
        "destroy": (403, 404, 409),
        "scale": (403, 404, 409),
    }

    def list(self, request: Request) -> Response:
        user = user_of(request)
        found = unarchived(queries.visible_clusters(user), request)
        return self.page(found, lambda page: rows.clusters(page, user))

    @extend_schema(summary="A cluster, by id or uuid")
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(self._found(pk, access.READ))

    @extend_schema(
        summary="Make a cluster",
        description="Without containers; `scale` gives it some, or POST /v6/containers/.",
        request=serializers.NewClusterSerializer,
        responses={201: serializers.ClusterSerializer},
        examples=[OpenApiExample("One", request_only=True, value={"name": "media", "image_version": "1.0"})],
    )
    def create(self, request: Request) -> Response:
        actor, given = user_of(request), self.taken(serializers.NewClusterSerializer)
        made = self.once(lambda: [str(services.make_cluster(owner=actor, actor=actor, **given).pk)])
        row = queries.find_cluster_for(actor, made[0], access.READ)
        return self.made(rows.clusters([row], actor)[0], "cluster-detail", row.pk)

    @extend_schema(
        summary="Change a cluster",
        description="Another image version or token changes every container at once; a rollout does it by and by.",
        request=serializers.ClusterChangeSerializer,
        responses={200: serializers.ClusterSerializer},
        examples=[OpenApiExample("Another name", request_only=True, value={"name": "media-2"})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        cluster = self._found(pk, access.CHANGE)
        given = self.taken(serializers.ClusterChangeSerializer)
        services.change_cluster(cluster=cluster, actor=user_of(request), **given)
        return self._shown(self._found(str(cluster.pk), access.READ))

    @extend_schema(summary="Archive a cluster", description="One whose containers are gone, or have failed.")
    def destroy(self, request: Request, pk: str) -> Response:
        services.archive_cluster(cluster=self._found(pk, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(
        summary="Have so many containers in all",
        operation_id="scale_cluster",
        description="New ones are as asked; those go first that do least, the newest of them.",
        request=serializers.ScaleSerializer,
        responses={200: serializers.ClusterSerializer},
        examples=[OpenApiExample("Three", request_only=True, value={"count": 3})],
    )
    @action(detail=True, methods=["post"])
    def scale(self, request: Request, pk: str) -> Response:
        cluster = self._found(pk, access.CHANGE)
        given = self.taken(serializers.ScaleSerializer)

        def work() -> list[str]:
            services.scale_cluster(cluster=cluster, actor=user_of(request), **given)
            return [str(cluster.pk)]

        self.once(work)
        return self._shown(self._found(str(cluster.pk), access.READ))

    @extend_schema(
        summary="Why containers of a cluster are not as wanted",
        operation_id="explain_cluster",
        responses=serializers.ClusterExplanationSerializer,
    )
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        cluster = self._found(pk, access.READ)
        under_way = cluster.rollouts.filter(status__in=states.ROLLOUT_OPEN).select_related("before", "target")
        said = {
            "status": queries.status_of(queries.counts_of([cluster.pk]).get(cluster.pk, {})),
            "containers": explaining.explain_unwell(cluster),
            "rollouts": rows.rollouts(list(under_way), cluster),
        }
        return Response(serializers.ClusterExplanationSerializer(said).data)

    def _found(self, reference: str, right: str) -> Cluster:
        return queries.find_cluster_for(user_of(self.request), reference, right)

    def _shown(self, cluster: Cluster) -> Response:
        return Response(rows.clusters([cluster], user_of(self.request))[0])


class Rollouts(NativeViewSet):
    """Changes of a cluster's image version, container after container; the newest first."""

    queryset = Rollout.objects.none()
    serializer_class = serializers.RolloutSerializer
    orders: ClassVar[Orders] = {"id": Key("pk")}
    default_order = ("-id",)
    refusals: ClassVar = {
        "create": (403, 404, 409),
        "pause": (403, 404, 409),
        "resume": (403, 404, 409),
        "roll_back": (403, 404, 409),
    }

    @extend_schema(summary="Rollouts of a cluster", operation_id="list_rollouts", parameters=[CLUSTER])
    def list(self, request: Request, cluster: str) -> Response:
        row = self._cluster(cluster, access.READ)
        return self.page(row.rollouts.select_related("before", "target"), lambda page: rows.rollouts(page, row))

    @extend_schema(
        summary="Lead a cluster to another image version",
        operation_id="create_rollout",
        description="At most `max_unavailable` of its containers are being changed, or not well, at a time.",
        parameters=[CLUSTER],
        request=serializers.NewRolloutSerializer,
        responses={201: serializers.RolloutSerializer},
        examples=[
            OpenApiExample("Two at a time", request_only=True, value={"image_version": "2.0", "max_unavailable": 2})
        ],
    )
    def create(self, request: Request, cluster: str) -> Response:
        row, given = self._cluster(cluster, access.CHANGE), self.taken(serializers.NewRolloutSerializer)
        made = self.once(lambda: [str(services.start_rollout(cluster=row, actor=user_of(request), **given).pk)])
        shown = rows.rollouts([queries.find_rollout(row, made[0])], row)[0]
        url = request.build_absolute_uri(f"/v6/clusters/{row.pk}/rollouts/{made[0]}/")
        return Response(shown, status=201, headers={"Location": url})

    @extend_schema(summary="A rollout", operation_id="get_rollout", parameters=[CLUSTER, ROLLOUT])
    def retrieve(self, request: Request, cluster: str, rollout: str) -> Response:
        return self._shown(self._cluster(cluster, access.READ), rollout)

    @extend_schema(
        summary="Change no further containers for now",
        operation_id="pause_rollout",
        parameters=[CLUSTER, ROLLOUT],
        request=None,
    )
    def pause(self, request: Request, cluster: str, rollout: str) -> Response:
        return self._done(services.pause_rollout, cluster, rollout)

    @extend_schema(
        summary="Go on with a rollout, and try again what did not come up",
        operation_id="resume_rollout",
        parameters=[CLUSTER, ROLLOUT],
        request=None,
    )
    def resume(self, request: Request, cluster: str, rollout: str) -> Response:
        return self._done(services.resume_rollout, cluster, rollout)

    @extend_schema(
        summary="Go back to the image version before",
        operation_id="roll_back_rollout",
        parameters=[CLUSTER, ROLLOUT],
        request=None,
    )
    def roll_back(self, request: Request, cluster: str, rollout: str) -> Response:
        return self._done(services.roll_back, cluster, rollout)

    def _done(self, service: Any, cluster: str, rollout: str) -> Response:
        row = self._cluster(cluster, access.CHANGE)
        found = queries.find_rollout(row, rollout)
        self.once(lambda: [str(service(rollout=found, actor=user_of(self.request)).pk)])
        return self._shown(row, str(found.pk))

    def _cluster(self, reference: str, right: str) -> Cluster:
        return queries.find_cluster_for(user_of(self.request), reference, right)

    def _shown(self, cluster: Cluster, reference: str) -> Response:
        return Response(rows.rollouts([queries.find_rollout(cluster, reference)], cluster)[0])
