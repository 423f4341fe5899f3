"""Long-running containers: asked for, changed, looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters import queries, services
from clusters.api.fishjam.telemetry_serializers import LogEntrySerializer
from clusters.api.v6 import serializers
from clusters.api.v6.clusters import shown_containers
from clusters.api.v6.filters import ContainerFilter
from clusters.models import Container
from clusters.telemetry.log_lines import Severity
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
    retrieve=extend_schema(summary="A container, by id or uuid"),
)
class Containers(NativeViewSet):
    """Servers that are wanted to run on: what they are to be, and what they are."""

    queryset = Container.objects.none()
    serializer_class = serializers.ContainerSerializer
    filterset_class = ContainerFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}
    refusals: ClassVar = {
        **dict.fromkeys(("create", "partial_update", "destroy", "start", "stop", "drain", "undrain"), (409,)),
        **dict.fromkeys(("logs", "output"), (503,)),
    }

    def get_serializer_class(self) -> Any:
        bodies = {
            "create": serializers.NewContainerSerializer,
            "partial_update": serializers.ContainerChangeSerializer,
        }
        return bodies.get(self.action, serializers.ContainerSerializer)

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_containers(user_of(request)), shown_containers)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(self._found(pk, access.READ))

    @extend_schema(
        summary="Add a container to a cluster",
        description="It runs as soon as its place has it; `explain/` says what it waits for.",
        request=serializers.NewContainerSerializer,
        responses={201: serializers.ContainerSerializer},
        examples=[OpenApiExample("A small one", request_only=True, value={"cluster": "1", "machine_type": "small"})],
    )
    def create(self, request: Request) -> Response:
        actor, given = user_of(request), self.taken()
        cluster = self._cluster(given.pop("cluster"))
        ids = self.once(lambda: [str(services.make_container(cluster=cluster, actor=actor, **given).pk)])
        row = queries.find_container_for(actor, ids[0], access.READ)
        return self.made(shown_containers([row])[0], "container-detail", row.pk)

    @extend_schema(
        summary="Change a container",
        description="While it runs, or when it has failed, which has it tried anew. The one before serves until the "
        "new one is ready.",
        request=serializers.ContainerChangeSerializer,
        responses={200: serializers.ContainerSerializer},
        examples=[OpenApiExample("A larger one", request_only=True, value={"machine_type": "large"})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        container, given = self._found(pk, access.CHANGE), self.taken()
        wanted = {
            name: given.get(name, getattr(container, name)) for name in ("machine_type", "location", "routing_key")
        }
        return self._shown(services.change_container(container=container, actor=user_of(request), **wanted))

    @extend_schema(summary="Drop a container", description="It is archived at once, and gone soon after.")
    def destroy(self, request: Request, pk: str) -> Response:
        services.drop_container(container=self._found(pk, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(summary="Start it again", request=None, responses={200: serializers.ContainerSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        container = self._found(pk, access.CHANGE)
        return self._shown(services.start_container(container=container, actor=user_of(request)))

    @extend_schema(summary="Stop it, and keep it", request=None, responses={200: serializers.ContainerSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        container = self._found(pk, access.CHANGE)
        return self._shown(services.stop_container(container=container, actor=user_of(request)))

    @extend_schema(
        summary="Lead no new clients to it",
        description="Those that are connected stay.",
        request=None,
        responses={200: serializers.ContainerSerializer},
    )
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        return self._drained(pk, is_draining=True)

    @extend_schema(summary="Lead clients to it again", request=None, responses={200: serializers.ContainerSerializer})
    @action(detail=True, methods=["post"])
    def undrain(self, request: Request, pk: str) -> Response:
        return self._drained(pk, is_draining=False)

    @extend_schema(
        summary="Why it is not as wanted",
        description="What is wanted, what is, and what its place says of it.",
        responses={200: serializers.ContainerExplanationSerializer},
    )
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        row = self._found(pk, access.READ)
        placement = queries.placements_of([row.pk]).get(row.pk)
        told = {
            "container": row.uuid,
            "name": row.name,
            "desired": row.desired,
            "status": row.status,
            "reasons": queries.reasons_of(row, placement.place if placement else None),
            "handle": placement.handle if placement and placement.handle else None,
            "place": str(placement.place) if placement else None,
            "words": queries.words_of(row),
        }
        return Response(serializers.ContainerExplanationSerializer(told).data)

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
        summary="What Prometheus is to scrape",
        description="All containers that run and have metrics, as its HTTP service discovery takes it. For staff.",
        filters=False,
        responses={200: serializers.TargetSerializer(many=True)},
    )
    @action(detail=False, methods=["get"], url_path="prometheus-targets", filterset_class=None, pagination_class=None)
    def prometheus_targets(self, request: Request) -> Response:
        queries.check_may_see_targets(user_of(request))
        return Response(queries.prometheus_targets())

    def _cluster(self, reference: str) -> Any:
        try:
            return queries.find_cluster_for(user_of(self.request), reference, access.CHANGE)
        except ValueError as error:
            raise ValidationError({"cluster": [str(error)]}) from error

    def _drained(self, pk: str, *, is_draining: bool) -> Response:
        container = self._found(pk, access.CHANGE)
        actor = user_of(self.request)
        return self._shown(services.drain_container(container=container, actor=actor, is_draining=is_draining))

    def _found(self, reference: str, right: str) -> Container:
        return queries.find_container_for(user_of(self.request), reference, right)

    def _shown(self, container: Container) -> Response:
        return Response(shown_containers([container])[0])


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
