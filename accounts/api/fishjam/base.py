"""How the Fishjam surface speaks: a token or a session, JSON for everything, errors in Django Ninja's form.

`{"detail": "…"}`; 422 with a list of faults, each with its place, for a body or a path that cannot be read.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import TokenAuthentication
from accounts.api.scopes import Scoped, WithinScope
from accounts.errors import SessionNeeded
from controlplane.core.rest import AnyAnswer, JSONBody, as_ours

logger = logging.getLogger("controlplane.fishjam")
PATHS: Final = "/api/v1/"
_WORDS: Final = {
    400: "What is asked for cannot be had.",
    401: "No valid token or session, or not the right words.",
    403: "You may not do this.",
    404: "There is no such thing, or it is not yours.",
    409: "It is there already, or the present state does not allow it.",
    422: "A field is missing or not valid.",
    429: "Too many attempts; Retry-After says when to ask again.",
    500: "It failed here, or somebody we asked gave an answer that cannot be read; the operators can see why.",
    503: "What this needs elsewhere cannot be had just now; Retry-After says when to ask again.",
}


# --- Who -----------------------------------------------------------------------------------------


class TokenOnFishjam(TokenAuthentication):
    """A token in the header, as everywhere."""

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="fishjam"'


class SessionOnFishjam(SessionAuthentication):
    """The session that sign-in begins; what changes something then needs the header X-CSRFToken."""


class _TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # of its base
    target_class = TokenOnFishjam
    name = "ApiTokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer"}


class _SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # of its base
    target_class = SessionOnFishjam
    name = "SessionAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        words = "Unsafe methods also need the X-CSRFToken header."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": words}


# --- Operations ----------------------------------------------------------------------------------


@extend_schema_serializer(component_name="Detail")
class DetailSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()


@extend_schema_serializer(component_name="ValidationFault")
class FaultSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    loc = serializers.ListField(child=serializers.JSONField(), help_text="Where it is: `body`, then names and indexes.")
    msg = serializers.CharField()


@extend_schema_serializer(component_name="ValidationErrors")
class FaultsSerializer(serializers.Serializer[Any]):
    detail = FaultSerializer(many=True)


class Operation(Scoped, APIView):
    """Base of the surface's paths, for who is known."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (TokenOnFishjam, SessionOnFishjam)
    permission_classes: tuple[type[BasePermission], ...] = (IsAuthenticated, WithinScope)
    parser_classes = (JSONBody,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AnyAnswer
    for_sessions: ClassVar[frozenset[str]] = frozenset()  # methods that take no token, unless a setting lets them

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if (request.method or "").lower() in self.for_sessions:
            demand_session(request)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        return failure

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def taken(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The body, as `kind` reads it. Raises DRF's ValidationError."""
        serializer = kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def taken_query(self, kind: type[serializers.Serializer[Any]], lists: tuple[str, ...] = ()) -> dict[str, Any]:
        """The query, as `kind` reads it; `lists` are those that may be repeated. Raises BadQuery."""
        given = self.request.query_params
        serializer = kind(data={name: given.getlist(name) if name in lists else given[name] for name in given})
        if not serializer.is_valid():
            raise BadQuery(faults=serializer.errors)
        values: dict[str, Any] = serializer.validated_data
        return values


def demand_session(request: Request) -> None:
    """Raises SessionNeeded where a token would change what tokens may not."""
    if request.auth is not None and not settings.TOKENS_MAY_MANAGE_ACCOUNT:
        raise SessionNeeded


class OpenOperation(Operation):
    """Base of paths for everybody: neither token nor session is looked at."""

    authentication_classes = ()
    permission_classes = ()


def detail(text: str, status: int = 200) -> Response:
    return Response({"detail": text}, status=status)


def read_uuid(text: str, name: str) -> uuid.UUID:
    """A uuid of a path, with or without dashes. Raises DRF's ValidationError, as a body does."""
    try:
        return uuid.UUID(text) if len(text) in (32, 36) else uuid.UUID("")
    except ValueError as error:
        raise BadPath(name) from error


class BadPath(exceptions.ValidationError):
    """A parameter of the path that cannot be read."""

    place = "path"

    def __init__(self, name: str) -> None:
        super().__init__({name: ["This is a uuid."]})


class BadQuery(exceptions.ValidationError):
    """A parameter of the query that is missing (`code` is "required"), or cannot be read; or `faults` of several."""

    place = "query"

    def __init__(self, name: str = "", words: str = "", code: str = "invalid", *, faults: Any = None) -> None:
        super().__init__(faults or {name: [words]}, code)


# --- What goes wrong -------------------------------------------------------------------------------


def failure(exc: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """What is said of an error, whoever raised it."""
    if isinstance(exc, exceptions.ValidationError):
        place = getattr(exc, "place", "body")
        return _said(list(_faults(exc.get_full_details(), (place,))), 422)
    if isinstance(exc, exceptions.ParseError | exceptions.UnsupportedMediaType):
        return _said([{"type": "json_invalid", "loc": ["body"], "msg": str(exc.detail)}], 422)
    if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        return _said("Unauthorized", 401, {"WWW-Authenticate": 'Bearer realm="fishjam"'})
    if isinstance(exc, exceptions.APIException):
        allow = {"Allow": ", ".join(context["view"].allowed_methods)} if exc.status_code == 405 else {}
        return _said(str(exc.detail), exc.status_code, allow)
    if isinstance(exc, SuspiciousOperation) and not isinstance(exc, RequestDataTooBig):
        return _said([{"type": "json_invalid", "loc": ["body"], "msg": "The body cannot be read."}], 422)
    ours = as_ours(exc, context["view"], logger)
    retry = getattr(ours, "retry_after_seconds", None)
    return _said(ours.message, ours.http_status, {"Retry-After": str(retry)} if retry else {})


def _said(words: Any, status: int, headers: dict[str, str] | None = None) -> HttpResponseBase:
    return JsonResponse({"detail": words}, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _faults(found: Any, loc: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """DRF's nested details, flat, each with its place."""
    if isinstance(found, dict) and set(found) == {"message", "code"} and isinstance(found["message"], str):
        kind = "missing" if found["code"] == "required" else "value_error"
        yield {"type": kind, "loc": list(loc), "msg": str(found["message"])}
    elif isinstance(found, dict):
        for name, inner in found.items():
            yield from _faults(inner, loc if name == "non_field_errors" else (*loc, name))
    elif isinstance(found, list):
        for each in found:
            yield from _faults(each, loc)


def not_found(request: HttpRequest) -> HttpResponseBase:
    """A path of the surface that does not exist."""
    return _said("Not Found", 404)


# --- The schema ------------------------------------------------------------------------------------


def declared(
    operation_id: str,
    summary: str,
    status: int,
    kind: Any,
    *codes: int,
    refusing: Mapping[int, Any] | None = None,
    **more: Any,
) -> Any:
    """What the OpenAPI schema says of an operation: answers `kind` with `status`, refuses with `codes`.

    `refusing`: by the code, the bodies of refusals that are not as all others.
    """
    kinds = {422: FaultsSerializer, **(refusing or {})}
    refusals = {code: OpenApiResponse(kinds.get(code, DetailSerializer), description=_WORDS[code]) for code in codes}
    return extend_schema(
        operation_id=operation_id,
        tags=["Fishjam"],
        summary=summary,
        description=f"{summary}.",  # else the base's docstring
        responses={status: kind, **refusals},
        **more,
    )
