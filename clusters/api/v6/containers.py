"""Containers: asked for, steered, explained, and told to Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import explaining, queries, services
from clusters.api.v6 import rows, serializers
from clusters.api.v6.clusters import unarchived
from clusters.api.v6.filters import ContainerFilter
from clusters.models import Container
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import read_reference
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders


@extend_schema_view(
    list=extend_schema(summary="Containers", description="All to staff; to everybody else their own."),
)
class Containers(NativeViewSet):
    """Servers that run on until they are told to go."""

    queryset = Container.objects.none()
    serializer_class = serializers.ContainerSerializer
    filterset_class = ContainerFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}
    refusals: ClassVar = {
        "create": (403, 404, 409),
        "prometheus_targets": (403,),
        **dict.fromkeys(
            ("partial_update", "destroy", "start", "stop", "drain", "undrain"),
            (403, 404, 409),
        ),
    }

    def list(self, request: Request) -> Response:
        return self.page(unarchived(queries.visible_containers(user_of(request)), request), rows.containers)

    @extend_schema(summary="A container, by id or uuid")
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(self._found(pk, access.READ))

    @extend_schema(
        summary="Have another container run in a cluster",
        request=serializers.NewContainerSerializer,
        responses={201: serializers.ContainerSerializer},
        examples=[
            OpenApiExample("One", request_only=True, value={"cluster": "7", "location": "eu_central", "name": "one"})
        ],
    )
    def create(self, request: Request) -> Response:
        actor, given = user_of(request), self.taken(serializers.NewContainerSerializer)
        named = given.pop("cluster")
        try:
            read_reference(named)
        except ValueError as error:
            raise InvalidRequest(str(error), field="cluster") from error
        cluster = queries.find_cluster_for(actor, named, access.CHANGE)
        made = self.once(lambda: [str(services.make_container(cluster=cluster, actor=actor, **given).pk)])
        row = queries.find_container_for(actor, made[0], access.READ)
        return self.made(rows.containers([row])[0], "container-detail", row.pk)

    @extend_schema(
        summary="Change a container",
        description="One that runs, is unwell or has failed. Another size or location makes it anew.",
        request=serializers.ContainerChangeSerializer,
        responses={200: serializers.ContainerSerializer},
        examples=[OpenApiExample("A larger one", request_only=True, value={"machine_type": "large"})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        row = self._found(pk, access.CHANGE)
        given = self.taken(serializers.ContainerChangeSerializer)
        as_it_is = {name: getattr(row, name) for name in ("machine_type", "location", "routing_key")}
        return self._shown(
            services.change_container(container=row, actor=user_of(request), **{**as_it_is, **given}), again=True
        )

    @extend_schema(summary="Have a container gone", description="It is archived at once; its routing key is free.")
    def destroy(self, request: Request, pk: str) -> Response:
        services.drop_container(container=self._found(pk, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(summary="Run one that was stopped, or has failed", operation_id="start_container", request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        return self._done(pk, services.start_container)

    @extend_schema(summary="Have a container run no more, and keep it", operation_id="stop_container", request=None)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        return self._done(pk, services.stop_container)

    @extend_schema(summary="Lead no new clients to a container", operation_id="drain_container", request=None)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        return self._done(pk, services.drain_container, is_draining=True)

    @extend_schema(summary="Lead clients to a container again", operation_id="undrain_container", request=None)
    @action(detail=True, methods=["post"])
    def undrain(self, request: Request, pk: str) -> Response:
        return self._done(pk, services.drain_container, is_draining=False)

    @extend_schema(
        summary="Why a container is not as it is wanted",
        operation_id="explain_container",
        responses=serializers.ContainerExplanationSerializer,
    )
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        row = self._found(pk, access.READ)
        placement = queries.placements_of([row.pk]).get(row.pk)
        events = request.build_absolute_uri(f"/v6/events/?subject_kind=container&subject={row.pk}")
        said = {**explaining.explain(row, placement), "said": explaining.words_of(placement), "events": events}
        return Response(serializers.ContainerExplanationSerializer(said).data)

    @extend_schema(
        summary="Where Prometheus finds the figures of containers",
        operation_id="list_prometheus_targets",
        description="All that are up and show some, in the form of Prometheus' discovery by HTTP. For staff.",
        parameters=[],
        filters=False,
        responses={200: serializers.TargetSerializer(many=True)},
    )
    @action(
        detail=False,
        methods=["get"],
        url_path="prometheus-targets",
        pagination_class=None,
        filter_backends=(),
    )
    def prometheus_targets(self, request: Request) -> Response:
        access.demand(user_of(request), "clusters", access.READ)
        return Response([rows.target(each) for each in queries.metrics_targets()])

    def _found(self, reference: str, right: str) -> Container:
        return queries.find_container_for(user_of(self.request), reference, right)

    def _done(self, reference: str, service: Callable[..., Container], **more: Any) -> Response:
        row = self._found(reference, access.CHANGE)
        self.once(lambda: [str(service(container=row, actor=user_of(self.request), **more).pk)])
        return self._shown(row, again=True)

    def _shown(self, row: Container, *, again: bool = False) -> Response:
        if again:
            row = self._found(str(row.pk), access.READ)
        return Response(rows.containers([row])[0])
