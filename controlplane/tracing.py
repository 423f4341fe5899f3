"""Every request has an id, which its answer and all log lines about it carry, and is timed by its surface."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from controlplane.core.ids import uuid7
from controlplane.core.instruments import note_request
from controlplane.core.logs import begin_request, name_caller
from controlplane.surfaces import MAPREDUCE_PATHS

LONGEST_ID: Final = 128
# By the first part of the path; the root belongs to the Mapsor surface.
_SURFACES: Final = {
    **dict.fromkeys(("v6", "api-token-auth"), "native"),
    **dict.fromkeys(("", "static", "schema", "account", "livez", "readyz", "metrics"), "site"),
    "admin": "admin",
}
_STATUS_CLASSES: Final = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_SESSIONS: Final = ("/admin/", "/v6/", "/api/v1/")


def surface_of(path: str) -> str:
    """Whose way of speaking a path belongs to; Apollo's and Fishjam's are both below /api/v1/."""
    if path.startswith("/api/"):
        return "mapreduce" if path.startswith(MAPREDUCE_PATHS) else "fishjam"
    return _SURFACES.get(path[1:].partition("/")[0], "mapsor")


def request_id_of(given: str) -> str:
    """The caller's own id when it is fit for a header and a log line, else a new one."""
    if 0 < len(given) <= LONGEST_ID and given.isascii() and given.isprintable():
        return given
    return str(uuid7())


class RequestMiddleware:
    """The outermost: whatever answers a request, its answer passes here. POST /submit too, so it does little."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = perf_counter()
        request_id = request_id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        begin_request(request_id)
        surface = surface_of(request.path_info)
        response = self._get_response(request)
        response.headers["X-Request-ID"] = request_id
        note_request(surface, _STATUS_CLASSES[response.status_code // 100], perf_counter() - begun)
        return response


class SessionUserMiddleware:
    """Names who is signed in. Only where a session counts: elsewhere, reading it would cost a statement."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.path_info.startswith(_SESSIONS):
            user = request.user
            if user.is_authenticated:
                name_caller(user.get_username())
        return self._get_response(request)
