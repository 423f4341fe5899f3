"""How the Mapsor surface speaks: tokens, roles, errors and headers, the same for each of its operations.

An operation is a class with one `handle`. Its requests do not go through DRF's dispatch, which costs
more than the work itself on the hot path (POST /submit); the class is an APIView so that it stands in
the OpenAPI schema, and `extend_schema` beside it says what `handle` takes and gives.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import Any, ClassVar

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from accounts import access, queries, services
from accounts.models import Role, TokenScope, User
from controlplane.core.connections import refusal_after
from controlplane.core.errors import ControlPlaneError, Forbidden, InvalidRequest, TooLarge, Unauthorized
from controlplane.core.logs import name_caller

logger = logging.getLogger("controlplane.mapsor")

ADMIN = (Role.ADMIN,)
OPERATOR = (Role.ADMIN, Role.OPERATOR, Role.CUSTOMER)
MONITOR = (*OPERATOR, Role.MONITOR)


def answer(body: Any, status: int = 200) -> HttpResponse:
    """A JSON answer."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return HttpResponse(text, status=status, content_type="application/json")


def plain(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def failure(error: ControlPlaneError) -> HttpResponse:
    """The surface's error body."""
    message = f"{error.field}: {error.message}" if error.field else error.message
    response = answer(
        {"error": {"status": error.http_status, "message": message, "code": error.code}}, error.http_status
    )
    if error.http_status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="mapsor"'
    if hasattr(error, "retry_after_seconds"):
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def sealed(response: HttpResponseBase) -> HttpResponseBase:
    """Nobody keeps an answer, and no link from it carries the address, which may hold a token."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def token_of(request: HttpRequest) -> str:
    """The request's token, from `?token=` or the Authorization header. Raises Unauthorized."""
    given = {token for token in request.GET.getlist("token") if token}
    header = request.headers.get("Authorization", "")
    if header:
        scheme, _, token = header.partition(" ")
        given.add(token.strip() if scheme.lower() in {"bearer", "token"} else "")
    if len(given) > 1:
        raise Unauthorized("The request carries two different tokens.")
    token = next(iter(given), "")
    if not token:
        raise Unauthorized("A token is needed, as `Authorization: Bearer …` or `?token=…`.")
    return token


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidRequest, TooLarge."""
    try:
        body = json.loads(request.body, parse_constant=_refuse_constant)
    except RequestDataTooBig as error:
        raise TooLarge from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The body is not a JSON object.")
    return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


class Operation(APIView):
    """One operation of the Mapsor surface."""

    roles: ClassVar[tuple[str, ...]] = OPERATOR
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    scope: ClassVar[str] = TokenScope.READ  # which its token has to reach

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        raise TypeError("each operation has its own")

    @classmethod
    def quick(cls, request: HttpRequest, token: str) -> HttpResponseBase | None:
        """The answer, where an operation has a shorter way to it than `handle`; None goes the ordinary way."""
        return None

    @classmethod
    def of_machine(cls, request: HttpRequest, token: str, path: dict[str, str]) -> HttpResponseBase | None:
        """The answer to a machine that calls with a token of its own; None where a token is a user's."""
        return None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A token is no cookie: there is nothing to forge.
        view = csrf_exempt(functools.partial(respond, cls))
        functools.update_wrapper(view, respond)
        view.cls = cls  # type: ignore[attr-defined] # this is how drf-spectacular finds the operation
        view.initkwargs = initkwargs  # type: ignore[attr-defined]
        return view


def respond(operation: type[Operation], request: HttpRequest, **path: str) -> HttpResponseBase:
    """Answer a request, whatever happens, in the surface's own words."""
    try:
        return sealed(_respond(operation, request, path))
    except ControlPlaneError as error:
        return sealed(failure(error))
    except Exception as error:
        if refusal := refusal_after(error):
            return sealed(failure(refusal))
        logger.exception("%s failed", operation.__name__)
        return sealed(failure(ControlPlaneError("Something failed here; the operators can see what.")))


def _respond(operation: type[Operation], request: HttpRequest, path: dict[str, str]) -> HttpResponseBase:
    if request.method not in operation.methods:
        response = failure(InvalidMethod(f"{request.method} is not a method of this path."))
        response["Allow"] = ", ".join(operation.methods)
        return response
    token = token_of(request)
    quick = operation.quick(request, token)
    if quick is not None:
        services.note_use(token)
        return quick
    found = operation.of_machine(request, token, path)
    if found is not None:
        return found
    user = queries.user_of_token(token)
    if user is None:
        raise Unauthorized
    name_caller(user.username, token[: queries.TOKEN_PREFIX_LENGTH])
    services.note_use(token)
    access.enforce(access.reach(user, operation.scope))
    if user.role not in operation.roles:
        raise Forbidden(f"This needs the role {' or '.join(operation.roles[:2])}; yours is {user.role}.")
    return operation.handle(user, request, **path)


class InvalidMethod(ControlPlaneError):
    """This path does not have that method."""

    code = "METHOD_NOT_ALLOWED"
    http_status = 405
