"""How the MapReduce surface speaks: tokens or nobody, plain text for whatever goes wrong, JSON for the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import queries
from accounts.api.authentication import TokenAuthentication
from accounts.api.scopes import Scoped, WithinScope
from accounts.models import User
from controlplane.core.errors import NotFound
from controlplane.core.rest import AnyAnswer, as_ours

logger = logging.getLogger("controlplane.mapreduce")
PATHS = ("/api/v1/artifacts", "/api/v1/jobs")
_WORDS: Final = {
    400: "The request is not valid.",
    401: "A token is missing, or not valid.",
    403: "The token may not do this.",
    404: "There is no such artifact, or job.",
    406: "The job has ended already.",
    413: "The program is too large.",
    415: "The body is of another type.",
    500: "Unexpected failure.",
}


class TokenOrNobody(TokenAuthentication):
    """A token, as everywhere. Without any, settings.MAPREDUCE_ANONYMOUS_USER: Apollo's clients know of none."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        if "Authorization" in request.headers:
            found = super().authenticate(request)
            if found is None:
                raise exceptions.AuthenticationFailed("A token is wanted, as `Authorization: Bearer …`.")
            return found
        name = settings.MAPREDUCE_ANONYMOUS_USER
        user = queries.find_user(name) if name else None
        return (user, "") if user is not None and user.is_active else None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="mapreduce"'


class Operation(Scoped, APIView):
    """Base of the surface's paths."""

    authentication_classes = (TokenOrNobody,)
    permission_classes = (IsAuthenticated, WithinScope)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AnyAnswer

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        return failure


def failure(exc: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """What is said of an error, whoever raised it: its message, and a newline."""
    if isinstance(exc, exceptions.UnsupportedMediaType):
        return said("", 415)
    if isinstance(exc, exceptions.APIException):
        headers = {"WWW-Authenticate": header} if (header := getattr(exc, "auth_header", None)) else {}
        if isinstance(exc, exceptions.MethodNotAllowed):
            headers["Allow"] = ", ".join(context["view"].allowed_methods)
        return said(f"{exc.detail}\n", exc.status_code, headers)
    if isinstance(exc, SuspiciousOperation) and not isinstance(exc, RequestDataTooBig):
        return said("The body cannot be read.\n", 400)
    ours = as_ours(exc, context["view"], logger)
    retry = getattr(ours, "retry_after_seconds", None)
    text = f"{ours.field}: {ours.message}" if ours.field else ours.message
    return said(f"{text}\n", ours.http_status, {"Retry-After": str(retry)} if retry else {})


def said(text: str, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """A plain text answer."""
    sayable = text.encode(errors="backslashreplace").decode()
    return HttpResponse(sayable, status=status, headers=headers or {}, content_type="text/plain; charset=utf-8")


def declared(operation_id: str, summary: str, responses: dict[Any, Any], *codes: int, **more: Any) -> Any:
    texts = {
        (code, "text/plain"): OpenApiResponse(OpenApiTypes.STR, description=_WORDS[code]) for code in (*codes, 401, 500)
    }
    auth = cast(list[str], [{}, {"TokenHeader": []}])
    answers = {**responses, **texts}
    return extend_schema(
        operation_id=operation_id,
        tags=["MapReduce"],
        summary=summary,
        description=f"{summary}.",  # else the base's docstring
        auth=auth,
        responses=answers,
        **more,
    )


def not_found(request: HttpRequest) -> HttpResponse:
    """A path of the surface that does not exist."""
    return said(f"{NotFound('There is no such path.').message}\n", 404)
