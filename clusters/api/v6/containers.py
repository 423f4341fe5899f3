"""Containers: asked for, steered, explained, and told to Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import explaining, queries, services
from clusters.api.fishjam.telemetry_serializers import LogEntrySerializer
from clusters.api.v6 import rows, serializers
from clusters.api.v6.clusters import unarchived
from clusters.api.v6.filters import ContainerFilter
from clusters.models import Container
from clusters.telemetry.log_lines import Severity
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import read_reference
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders
from controlplane.core.times import parse_moment

MOST_LINES: Final = 1000
MOST_BYTES: Final = 2**20
_LONG: Final = timedelta(days=3650)
_LOG: Final = [
    OpenApiParameter("since", str, description="ISO 8601, or a duration before now such as PT1H."),
    OpenApiParameter("until", str, description="The same; before this moment."),
    OpenApiParameter("phrase", str, description="Text that stands in the line, in any case."),
    OpenApiParameter("severity", str, enum=[each.value for each in Severity], description="This one, or worse."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST_LINES, "default": 100}),
]
_OUTPUT: Final = [
    OpenApiParameter("after", {"type": "integer", "minimum": 0, "maximum": 2**53, "default": 0}, description="A byte."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 16, "maximum": MOST_BYTES, "default": MOST_BYTES}),
    OpenApiParameter("run", str, description="One run of the container; without it the newest."),
]


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
        "output": (400,),
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
        events = f"{reverse('events', request=request)}?subject_kind=container&subject={row.pk}"
        said = {**explaining.explain(row, placement), "said": explaining.words_of(placement), "events": events}
        return Response(serializers.ContainerExplanationSerializer(said).data)

    @extend_schema(
        summary="The newest lines of its log",
        parameters=_LOG,
        filters=False,
        responses={200: LogEntrySerializer(many=True)},
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def logs(self, request: Request, pk: str) -> Response:
        row, given = self._found(pk, access.READ), request.query_params
        now = timezone.now()
        severity = given.get("severity") or None
        if severity is not None and severity not in [*Severity]:
            raise ValidationError({"severity": [f"This is one of {', '.join(Severity)}."]})
        found = queries.log_of(
            row,
            start=_moment(given.get("since"), "since", now - _LONG),
            end=_moment(given.get("until"), "until", now),
            limit=_whole(given.get("limit"), "limit", 100, 1, MOST_LINES),
            phrase=given.get("phrase") or "",
            severity=Severity(severity) if severity else None,
        )
        shown = [{"timestamp": each.timestamp, "severity": each.severity, "message": each.message} for each in found]
        return Response(LogEntrySerializer(shown, many=True).data)

    @extend_schema(
        summary="Its output, as it is written",
        description="From a byte on: whoever asks again and again with `next_after` follows it.",
        parameters=_OUTPUT,
        responses={200: serializers.OutputSerializer},
    )
    @action(detail=True, methods=["get"])
    def output(self, request: Request, pk: str) -> Response:
        row, given = self._found(pk, access.READ), request.query_params
        after = _whole(given.get("after"), "after", 0, 0, 2**53)
        limit = _whole(given.get("limit"), "limit", MOST_BYTES, 16, MOST_BYTES)
        page = queries.output_of(row, after, limit, given.get("run") or "")
        return Response({"text": page.text, "next_after": page.next_after, "ended": page.ended})

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


def _moment(text: str | None, name: str, default: Any) -> Any:
    if not text:
        return default
    found = parse_moment(text)
    if found is None:
        raise ValidationError({name: ["This is an ISO 8601 date-time with zone, or a duration such as PT1H."]})
    return found


def _whole(text: str | None, name: str, default: int, least: int, most: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
        raise ValidationError({name: [f"This is a whole number from {least} to {most}."]})
    return int(text)
