"""Which surface a request belongs to, and what is the same for all requests of one.

Every path works with and without its trailing slash: the surface's own form is put in place before
the URLs are resolved, so nothing is redirected and no POST loses its body. What no URL matches is
answered in the surface's own shape.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, get_script_prefix, resolve
from django.views import defaults

from accounts.api.fishjam import base as fishjam
from accounts.api.mapsor.base import Operation, failure, sealed
from controlplane.core import rest
from controlplane.core.connections import refusal_after
from controlplane.core.errors import NotFound
from jobs.api.mapreduce import base as mapreduce

MAPREDUCE_PATHS: Final = mapreduce.PATHS
NATIVE: Final = ("/v6/", "/api-token-auth/")
WITH_SLASH: Final = ("/admin/", "/static/", "/schema/", "/account/", "/stripe/", *NATIVE)


def own_form(path: str) -> str:
    """`path` as the surface writes it: the site's own pages with a slash at the end, the dialects without."""
    if path == "/" or path.startswith("/static/"):
        return path
    if (path + "/").startswith(WITH_SLASH):
        return path if path.endswith("/") else path + "/"
    return path.rstrip("/") or "/"


class SurfaceMiddleware:
    """Puts paths into their surface's form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        own = own_form(request.path_info)
        if own != request.path_info:
            if request.method == "GET" and own.startswith("/admin/"):
                # Relative links on the admin's pages need the slash in the address.
                query = request.META.get("QUERY_STRING", "")
                return HttpResponseRedirect(get_script_prefix().rstrip("/") + own + (f"?{query}" if query else ""))
            request.path_info = own
        if own.startswith(WITH_SLASH) and not own.startswith(NATIVE):
            return self._get_response(request)
        try:
            match = resolve(own)
        except Resolver404:
            return not_found(request)  # at once: with DEBUG Django would answer with a page of its own
        # Sessions, CSRF and messages are for browsers: an operation that takes tokens only goes past them.
        if issubclass(getattr(match.func, "cls", object), Operation):
            answer: HttpResponseBase = match.func(request, **match.kwargs)
            return answer
        return self._get_response(request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """What nobody knows, in its surface's words; the root belongs to the Mapsor surface."""
    if request.path_info.startswith(NATIVE):
        return rest.not_found(request)
    if request.path_info.startswith(MAPREDUCE_PATHS):
        return mapreduce.not_found(request)
    if request.path_info.startswith(fishjam.PATHS):
        return fishjam.not_found(request)
    return sealed(failure(NotFound("There is no such path.")))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django refuses the request itself (an unknown host, say): no words of ours about it."""
    return HttpResponse("Bad request\n", status=400, content_type="text/plain")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """What the admin's pages and the native views did not foresee; the Mapsor surface answers for itself."""
    error = sys.exc_info()[1]
    refusal = refusal_after(error) if error else None
    if refusal is None and request.path_info.startswith(NATIVE):
        return rest.failed(request)
    if refusal is None:
        return defaults.server_error(request)
    answer = HttpResponse(f"{refusal.message}\n", status=refusal.http_status, content_type="text/plain")
    answer["Retry-After"] = str(refusal.retry_after_seconds)
    return answer
