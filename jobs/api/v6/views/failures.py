"""Clusters of failures: what went wrong how often, and what it is called. For staff: they are of all customers."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from controlplane.core.pagination import Key, Orders
from jobs import queries, services
from jobs.api.v6 import failure_rows as rows
from jobs.api.v6 import failure_serializers as serializers
from jobs.filters import FailureClusterFilter
from jobs.models import FailureCluster


class FailureClusterViewSet(NativeViewSet):
    """Failures by what they have in common."""

    queryset = FailureCluster.objects.all()
    serializer_class = serializers.FailureClusterSerializer
    filterset_class = FailureClusterFilter
    orders: ClassVar[Orders] = {
        "id": Key("pk"),
        "first_seen": Key("first_seen"),
        "last_seen": Key("last_seen"),
        "total": Key("total"),
    }
    default_order = ("-last_seen",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,), "retrieve": (403,)}

    def get_queryset(self) -> QuerySet[FailureCluster]:
        return queries.visible_clusters(user_of(self.request))

    @extend_schema(
        summary="Failures by what they have in common, those seen last first",
        description="Failures have the same cluster whose logs end alike but for numbers, identifiers, times and paths "
        "and whose error and exit code are the same. `/v6/jobs/` and bulk work take its id as `failure_cluster`.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), rows.clusters)

    @extend_schema(
        summary="One cluster of failures, with whose jobs they were and a sample",
        responses=serializers.FailureClusterDetailSerializer,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(rows.detail(queries.find_cluster(user_of(request), int(pk), access.READ)))

    @extend_schema(
        summary="Give the failures of a cluster an error",
        description="Its failed jobs get it in the background, those that fail so later at once. Where it says so, the "
        "later ones are tried again while they have tries left.",
        request=serializers.NameClusterSerializer,
        responses=serializers.FailureClusterDetailSerializer,
    )
    @action(detail=True, methods=["post"], url_path="name", url_name="name")
    def give_name(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        cluster = queries.find_cluster(user, int(pk), access.CHANGE)
        access.demand(user, "job_types", access.CHANGE)
        wish = self.taken(serializers.NameClusterSerializer)
        self.once(lambda: [str(services.name_cluster(cluster.pk, actor=user, **wish).pk)])
        return Response(rows.detail(queries.find_cluster(user, cluster.pk, access.READ)))

    @extend_schema(
        summary="Let failures of a cluster keep the error they end with, from now on",
        request=None,
        responses=serializers.FailureClusterDetailSerializer,
    )
    @action(detail=True, methods=["post"], url_path="unname", url_name="unname")
    def take_name(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        cluster = queries.find_cluster(user, int(pk), access.CHANGE)
        self.once(lambda: [str(services.unname_cluster(cluster.pk, actor=user).pk)])
        return Response(rows.detail(queries.find_cluster(user, cluster.pk, access.READ)))
