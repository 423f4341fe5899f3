"""Output of jobs: a page of it as JSON, the whole as text, or live as server-sent events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar, Final

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from clusters.providers.base import STREAMS
from controlplane.core.browsable import BrowsableAPI
from controlplane.core.errors import InvalidRequest
from controlplane.core.server_sent import EVENTS, EventsRenderer, Plain, PlainAnswers, streamed
from jobs import following, queries
from jobs.api.events import to_sse
from jobs.api.v6 import serializers
from jobs.errors import JobState
from jobs.models import Execution, Job

CHOICES: Final[Mapping[str, Sequence[str]]] = {**{stream: (stream,) for stream in STREAMS}, "combined": STREAMS}
TEXT: Final = "text/plain"


class TextRenderer(Plain):
    media_type = TEXT
    format = "txt"


def _parameters(*more: OpenApiParameter) -> list[OpenApiParameter]:
    words = "Cursor of an earlier page or event; what came before it is left out."
    return [
        OpenApiParameter("stream", str, OpenApiParameter.PATH, enum=list(CHOICES), description="combined: both."),
        OpenApiParameter("after", str, description=words),
        OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="Like `after`, for event streams."),
        *more,
    ]


NUMBER: Final = OpenApiParameter("execution", int, description="Number of the execution; the last one if not given.")
RESPONSES: Final[dict[Any, Any]] = {
    (200, "application/json"): serializers.LogPageSerializer,
    (200, TEXT): OpenApiResponse(OpenApiTypes.STR, description="The whole output after the cursor."),
    (200, EVENTS): {
        "type": "object",
        "description": "One of the events that follow each other; after 10 minutes the stream ends with `reconnect`.",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "enum": ["log", "status", "end", "reconnect"]},
            "id": {"type": "string", "description": "Cursor, to go on from with Last-Event-ID."},
            "data": {"type": "string", "description": "A JSON object."},
        },
    },
    204: OpenApiResponse(description="No execution has started yet."),
}


class LogViewSet(PlainAnswers, NativeViewSet):
    """What a job wrote, or writes."""

    queryset = Job.objects.all()
    serializer_class = serializers.LogPageSerializer
    content_negotiation_class = DefaultContentNegotiation
    renderer_classes = (JSONRenderer, TextRenderer, EventsRenderer, BrowsableAPI)
    pagination_class = None
    filter_backends = ()
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"of_job": (400, 503), "of_execution": (400, 503)}

    @extend_schema(
        summary="Output of a job",
        operation_id="get_job_logs",
        parameters=_parameters(NUMBER),
        responses=RESPONSES,
    )
    def of_job(self, request: Request, job: str, stream: str) -> HttpResponseBase:
        found = queries.find_job(user_of(request), job, access.READ)
        return _answer(request, found, CHOICES[stream], _number(request))

    @extend_schema(
        summary="Output of an execution",
        operation_id="get_execution_logs",
        parameters=_parameters(),
        responses=RESPONSES,
    )
    def of_execution(self, request: Request, execution: str, stream: str) -> HttpResponseBase:
        found: Execution = queries.find_any_execution(user_of(request), execution)
        return _answer(request, found.job, CHOICES[stream], found.number)


def _number(request: Request) -> int | None:
    text = request.query_params.get("execution")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidRequest("This is the number of an execution.", field="execution")
    return int(text)


def _answer(request: Request, job: Job, streams: Sequence[str], execution: int | None) -> HttpResponseBase:
    after = request.query_params.get("after") or request.headers.get("Last-Event-ID", "")
    kind = request.accepted_renderer.format
    if kind == EventsRenderer.format:
        told = following.follow(job.pk, streams, after, execution=execution)
        return streamed(_framed(told), EVENTS)
    try:
        if kind == TextRenderer.format:
            pieces = following.text(job, streams, execution=execution, after=after)
            return streamed((piece.encode() for piece in pieces), TEXT)
        page = following.read(job, streams, after, execution=execution)
    except JobState:
        return Response(status=204)
    return Response(
        {
            "execution": page.execution,
            "stream": streams[0] if len(streams) == 1 else "combined",
            "text": page.text,
            "after": page.cursor,
            "ended": page.ended,
        }
    )


def _framed(told: Iterator[following.Told]) -> Iterator[bytes]:
    """Server-sent events; when the client goes away, so does the follower."""
    with closing(told):  # type: ignore[type-var] # a generator: it can be closed
        for each in told:
            yield to_sse(each)
