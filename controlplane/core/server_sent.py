"""Answers that go on: server-sent events as https://html.spec.whatwg.org/multipage/server-sent-events.html has them,
and whole texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

EVENTS: Final = "text/event-stream"
PING: Final = b": ping\n\n"


def framed(name: str, data: str, id_: str = "") -> bytes:
    """One event. `data` is one line, as JSON is; a client that lost its connection sends `id_` as Last-Event-ID."""
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


class Plain(BaseRenderer):
    """Names a kind of answer, which the view writes itself."""

    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)  # of a 204: nothing


class EventsRenderer(Plain):
    media_type = EVENTS
    format = "sse"


class PlainAnswers:
    """A view some of whose answers are plain."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """A refusal is JSON, whatever kind of answer was asked for; on a page it stays a page."""
        if getattr(response, "exception", False) and isinstance(getattr(request, "accepted_renderer", None), Plain):
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc] # the view's


def streamed(pieces: Iterator[bytes], media_type: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type=f"{media_type}; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # a proxy that gathers an answer would keep a live one for ever
    return response
