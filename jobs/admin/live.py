"""Streams for the admin's pages of work that many jobs are part of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from controlplane.core.errors import ControlPlaneError
from controlplane.core.server_sent import EVENTS, PING, framed, streamed
from jobs import following

CHANGED = "changed"
RETRY_MILLISECONDS = 2000


def changes(request: HttpRequest, kind: following.Kind, pk: int) -> HttpResponseBase:
    """Server-sent events, one each time that something has changed; a browser goes on with Last-Event-ID."""
    try:
        told = following.follow_changes(kind, pk, request.headers.get("Last-Event-ID", ""))
    except ControlPlaneError as error:
        return JsonResponse({"error": error.message}, status=error.http_status)
    return streamed(_framed(told), EVENTS)


def _framed(told: Iterator[following.Changed | following.Ping | following.Reconnect]) -> Iterator[bytes]:
    """When the client goes away, so does the follower."""
    with closing(told):  # type: ignore[type-var] # a generator: it can be closed
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        for each in told:
            yield framed(CHANGED, "{}", each.mark) if isinstance(each, following.Changed) else PING
