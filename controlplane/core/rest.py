"""How the native surface refuses: one shape for every error, whoever raised it.

`{"detail": "...", "code": "..."}`; a 400 also names each fault: `"errors": [{"field", "message"}]`, with
`index` when the body was a list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import exception_handler as of_drf

from controlplane.core.connections import refusal_after
from controlplane.core.errors import ControlPlaneError, InvalidRequest, NotFound, TooLarge

logger = logging.getLogger("controlplane.native")
CODES: Final = {
    "not_authenticated": "UNAUTHORIZED",
    "authentication_failed": "UNAUTHORIZED",
    "permission_denied": "FORBIDDEN",
    "parse_error": "INVALID_REQUEST",
    "invalid": "INVALID_REQUEST",
    "unsupported_media_type": "UNSUPPORTED_MEDIA_TYPE",
}


def body_of(error: ControlPlaneError) -> dict[str, Any]:
    """What is said of one of our own errors."""
    said: dict[str, Any] = {"detail": f"{error.field}: {error.message}" if error.field else error.message}
    said["code"] = error.code
    if error.http_status == 400:
        fault: dict[str, Any] = {"field": error.field or "", "message": error.message}
        if error.index is not None:
            fault["index"] = error.index
            said["detail"] = f"[{error.index}] {said['detail']}"
        said["errors"] = [fault]
    return said


def as_ours(exc: Exception, view: object, logger: logging.Logger) -> ControlPlaneError:
    """What our errors say of one that is not DRF's. What nobody foresaw is logged, and told of in no words."""
    if isinstance(exc, RequestDataTooBig):
        return TooLarge()
    exc = refusal_after(exc) or exc
    if isinstance(exc, ControlPlaneError):
        return exc
    logger.error("%s failed", type(view).__name__, exc_info=exc)
    return ControlPlaneError("Something failed here; the operators can see what.")


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: the answer to an error, or None for one that nobody foresaw (500)."""
    if isinstance(exc, RequestDataTooBig):
        exc = TooLarge()
    exc = refusal_after(exc) or exc
    if isinstance(exc, ControlPlaneError):
        retry_after = getattr(exc, "retry_after_seconds", None)
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        return Response(_sayable(body_of(exc)), status=exc.http_status, headers=headers)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    response = of_drf(exc, context)
    if response is not None and isinstance(exc, exceptions.APIException):
        response.data = _sayable(_of_drf(exc))
    return response


def _sayable(said: Any) -> Any:
    """`said`, which may quote the request, without halves of surrogate pairs: no answer can be written with them."""
    if isinstance(said, dict):
        return {name: _sayable(value) for name, value in said.items()}
    if isinstance(said, list):
        return [_sayable(each) for each in said]
    return said.encode(errors="backslashreplace").decode() if isinstance(said, str) else said


def _of_drf(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        faults = list(_faults(exc.detail)) or [{"field": "", "message": InvalidRequest().message}]
        first = faults[0]
        detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
        detail = f"[{first['index']}] {detail}" if "index" in first else detail
        return {"detail": detail, "code": "INVALID_REQUEST", "errors": faults}
    code = CODES.get(str(exc.default_code), str(exc.default_code).upper())
    said: dict[str, Any] = {"detail": str(exc.detail), "code": code}
    if exc.status_code == 400:
        said["errors"] = [{"field": "", "message": said["detail"]}]
    return said


def _items(detail: Any) -> list[tuple[int, Any]]:
    """What is said of the items of a list, each with its index; DRF has written it in two ways."""
    if isinstance(detail, list) and any(isinstance(each, dict) for each in detail):
        return list(enumerate(detail))
    if isinstance(detail, dict) and detail and all(isinstance(index, int) for index in detail):
        return list(detail.items())
    return []


def _faults(detail: Any, path: str | None = None) -> Iterator[dict[str, Any]]:
    """DRF's nested details, flat: a field inside another is named by its path, an item of the body by its index."""
    items = _items(detail) if path is None else []
    for index, each in items:
        yield from ({**fault, "index": index} for fault in _faults(each, ""))
    if items:
        return
    path = path or ""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            here = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            yield from _faults(inner, here)
    elif isinstance(detail, list) and any(isinstance(each, (dict, list)) for each in detail):
        for each in detail:
            yield from _faults(each, path)
    elif isinstance(detail, list):
        yield from ({"field": path, "message": str(each)} for each in detail)
    else:
        yield {"field": path, "message": str(detail)}


class JSONBody(JSONParser):
    """A JSON body within DATA_UPLOAD_MAX_MEMORY_SIZE, which DRF by itself would read past; too deep a one is a 400."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if isinstance(stream, HttpRequest):
            stream = BytesIO(stream.body)
        try:
            parsed: dict[str, Any] = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise exceptions.ParseError("The body is nested too deeply.") from error
        return parsed


class AnyAnswer(DefaultContentNegotiation):
    """The first renderer, whatever `Accept` says."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def not_found(request: HttpRequest) -> HttpResponseBase:
    """A native path that does not exist."""
    return JsonResponse(body_of(NotFound("There is no such path.")), status=404)


def failed(request: HttpRequest) -> HttpResponseBase:
    """Nobody foresaw what went wrong."""
    return JsonResponse(body_of(ControlPlaneError("Something failed here; the operators can see what.")), status=500)
