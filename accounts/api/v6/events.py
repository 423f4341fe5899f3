"""The event log, read on from a position, or followed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, ClassVar, Final

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import event_kinds, event_log
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import Event
from controlplane.core.filters import read_whole
from controlplane.core.rest import AnyAnswer
from controlplane.core.server_sent import EVENTS, EventsRenderer, PlainAnswers, framed, streamed
from controlplane.core.unstorable import UNSTORABLE

LONGEST: Final = 255
PARAMETERS: Final = [
    OpenApiParameter("after", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, description="A position."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": event_log.MAX_LIMIT, "default": 100}),
    OpenApiParameter("kind", str, many=True, enum=list(event_kinds.KINDS), description="One of these kinds."),
    OpenApiParameter("subject_kind", str, enum=event_kinds.SUBJECTS, description="What it happened to."),
    OpenApiParameter(
        "subject",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        description="Id of what it happened to; together with subject_kind.",
    ),
    OpenApiParameter("job", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, description="Id of a job."),
    OpenApiParameter("customer", {"type": "string", "maxLength": LONGEST}, description="Name of the customer."),
]
LAST: Final = "Last-Event-ID"
STREAM_PARAMETERS: Final = [
    OpenApiParameter(
        LAST,
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        OpenApiParameter.HEADER,
        description="Like `after`, and before it: browsers send it when they connect again.",
    ),
    *(parameter for parameter in PARAMETERS if parameter.name != "limit"),
]
RETRY_MILLISECONDS: Final = 2000
STREAM: Final[dict[Any, Any]] = {
    (200, EVENTS): {
        "type": "object",
        "description": "One of the events that follow each other; after 10 minutes the stream ends.",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string", "description": "Position, to go on from with Last-Event-ID."},
            "event": {"type": "string", "enum": list(event_kinds.KINDS)},
            "data": {"type": "string", "description": "The event as JSON, as in /v6/events/."},
        },
    }
}
EXAMPLE: Final = OpenApiExample(
    "A job that was started",
    value={
        "results": [
            {
                "position": 42,
                "at": "2026-01-02T03:04:05.000000Z",
                "kind": "job.moved",
                "subject": {"kind": "job", "id": 7},
                "actor": None,
                "customer": "acme",
                "before": {"status": "QUEUED"},
                "after": {"status": "STARTING"},
            }
        ],
        "next_after": 42,
    },
)


@extend_schema_field({})
class AnythingField(serializers.JSONField):
    """Any JSON value, null among them."""


class SubjectSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    id = serializers.IntegerField()


class EventSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="Its place among all events.")
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    subject = SubjectSerializer()
    actor = serializers.CharField(allow_null=True, help_text="Who did it; to customers, if it was one of theirs.")
    customer = serializers.CharField(allow_null=True)
    before = AnythingField(help_text="How it was, as far as it changed.")
    after = AnythingField(help_text="How it is.")


class EventPageSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)
    next_after = serializers.IntegerField(help_text="To go on from; `after` itself when there is nothing new.")


class Events(NativeViewSet):
    """What happened, in the order in which it was committed."""

    queryset = Event.objects.none()
    serializer_class = EventPageSerializer
    pagination_class = None
    filter_backends = ()
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"read": (400,)}

    @extend_schema(
        summary="Events behind a position",
        operation_id="list_events",
        description="Ask again with `after` set to `next_after`: nothing is left out and nothing told twice. An answer "
        "looks at 10 000 events at most for those that are asked for, so it may be empty and `next_after` lead on. To "
        "staff all events; to a customer's users those of its jobs.",
        parameters=PARAMETERS,
        responses=EventPageSerializer,
        examples=[EXAMPLE],
    )
    def read(self, request: Request) -> HttpResponseBase:
        known(request, PARAMETERS)
        after, limit = whole(request, "after", 0), whole(request, "limit", event_log.LIMIT)
        if not 1 <= limit <= event_log.MAX_LIMIT:
            raise ValidationError({"limit": [f"This is a whole number from 1 to {event_log.MAX_LIMIT}."]})
        page = event_log.read(user_of(request), wanted(request), after, limit)
        text = f'{{"results":[{",".join(page.events)}],"next_after":{page.next_after}}}'
        if request.accepted_renderer.format == JSONRenderer.format:
            return HttpResponse(text, content_type=JSONRenderer.media_type)
        return Response(json.loads(text))

    @extend_schema(
        summary="JSON Schema of events",
        operation_id="get_event_schema",
        description="One definition for each kind.",
        responses=OpenApiTypes.OBJECT,
    )
    def schema_of_kinds(self, request: Request) -> Response:
        return Response(event_kinds.json_schema())


class EventStream(PlainAnswers, NativeViewSet):
    """What happens, as it does."""

    queryset = Event.objects.none()
    content_negotiation_class = AnyAnswer
    renderer_classes = (EventsRenderer,)
    pagination_class = None
    filter_backends = ()
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"follow": (400, 503)}

    @extend_schema(
        summary="Events as they happen",
        operation_id="follow_events",
        description="Server-sent events, in the order of their positions: nothing is left out and nothing told twice. "
        "Begins behind `Last-Event-ID` or `after`, without them with what happens from now on; goes on for 10 minutes "
        "at most, or until its caller may not read any more. Its first lines, and one each 15 seconds when nothing "
        "happens, say the position that it has come to. To staff all events; to a customer's users those of its jobs.",
        parameters=STREAM_PARAMETERS,
        responses=STREAM,
    )
    def follow(self, request: Request) -> HttpResponseBase:
        known(request, STREAM_PARAMETERS)
        after = whole(request, "after", -1)
        last = request.headers.get(LAST, "")
        if last:
            after = whole_of(last, LAST)
        token = request.auth if isinstance(request.auth, str) else ""
        told = event_log.follow(user_of(request), token, wanted(request), None if after < 0 else after)
        return streamed(_framed(told), EVENTS)


def _framed(told: Iterator[event_log.News]) -> Iterator[bytes]:
    """Server-sent events; a block that is but an id is none, and yet browsers send it when they connect again."""
    with closing(told):  # type: ignore[type-var] # a generator: it can be closed
        yield f"retry: {RETRY_MILLISECONDS}\n".encode()
        for news in told:
            if news.events:
                yield b"".join(framed(kind, text, str(position)) for position, kind, text in news.events)
            else:
                yield f": ping\nid: {news.position}\n\n".encode()


def known(request: Request, parameters: Iterable[OpenApiParameter]) -> None:
    """Raise ValidationError for what nobody asks for: a misspelt filter would mean everything."""
    unknown = sorted(set(request.query_params) - {each.name for each in parameters} - {"format"})
    if unknown:
        raise ValidationError({name: ["There is no such filter."] for name in unknown})


def whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    return default if text is None else whole_of(text, name)


def whole_of(text: str, name: str) -> int:
    try:
        return read_whole(text)
    except ValueError as error:
        raise ValidationError({name: [str(error)]}) from error


def wanted(request: Request) -> event_log.Wanted:
    """What the filters ask for. Raises ValidationError."""
    given = request.query_params
    kinds, subject_kind, customer = given.getlist("kind"), given.get("subject_kind", ""), given.get("customer", "")
    if any(kind not in event_kinds.KINDS for kind in kinds):
        raise ValidationError({"kind": ["There is no such kind of event: see /v6/events/schema/."]})
    if subject_kind and subject_kind not in event_kinds.SUBJECTS:
        raise ValidationError({"subject_kind": [f"This is one of {', '.join(event_kinds.SUBJECTS)}."]})
    if len(customer) > LONGEST or UNSTORABLE.search(customer):
        raise ValidationError({"customer": [f"This is text without NUL of at most {LONGEST} characters."]})
    subject_id = whole(request, "subject", -1)
    if subject_id >= 0 and not subject_kind:
        raise ValidationError({"subject_kind": ["An id of a subject needs its kind."]})
    if "job" in given:
        if subject_kind:
            raise ValidationError({"job": ["This is another way to name the subject."]})
        subject_kind, subject_id = "job", whole(request, "job", 0)
    return event_log.Wanted(frozenset(kinds), subject_kind, None if subject_id < 0 else subject_id, customer)
