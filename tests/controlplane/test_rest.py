"""How the native surface refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from controlplane.core.errors import Conflict, InvalidRequest, NotFound
from controlplane.core.rest import exception_handler


class Busy(Conflict):
    """Ask again."""

    retry_after_seconds = 7


def said(error: Exception) -> tuple[int, dict[str, Any]]:
    response = exception_handler(error, {})
    assert response is not None
    return response.status_code, response.data


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.NotAuthenticated(), 401, "UNAUTHORIZED"), (exceptions.AuthenticationFailed(), 401, "UNAUTHORIZED"),
        (exceptions.PermissionDenied(), 403, "FORBIDDEN"), (PermissionDenied(), 403, "FORBIDDEN"),
        (exceptions.NotFound(), 404, "NOT_FOUND"), (Http404(), 404, "NOT_FOUND"), (NotFound(), 404, "NOT_FOUND"),
        (exceptions.MethodNotAllowed("GET"), 405, "METHOD_NOT_ALLOWED"),
        (exceptions.NotAcceptable(), 406, "NOT_ACCEPTABLE"), (Busy(), 409, "CONFLICT"),
        (RequestDataTooBig(), 413, "TOO_LARGE"),
        (exceptions.UnsupportedMediaType("text/csv"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (exceptions.Throttled(), 429, "THROTTLED"),
    ],
)  # fmt: skip
def test_every_refusal_has_a_detail_and_a_code(error: Exception, status: int, code: str) -> None:
    found, body = said(error)
    assert (found, set(body), body["code"]) == (status, {"detail", "code"}, code)
    assert body["detail"]


@pytest.mark.parametrize(
    "error", [exceptions.ParseError("bad"), InvalidRequest("bad"), exceptions.ValidationError("bad")]
)
def test_a_400_has_errors_too(error: Exception) -> None:
    assert said(error) == (
        400,
        {"detail": "bad", "code": "INVALID_REQUEST", "errors": [{"field": "", "message": "bad"}]},
    )


def test_an_error_that_nobody_foresaw_is_left_to_django() -> None:
    assert exception_handler(ZeroDivisionError(), {}) is None


def test_what_can_be_asked_again_says_when() -> None:
    response = exception_handler(Busy(), {})
    assert response is not None
    assert response["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("detail", "errors", "told"),
    [
        ({"name": ["no"]}, [{"field": "name", "message": "no"}], "name: no"),
        ({"name": "no"}, [{"field": "name", "message": "no"}], "name: no"),
        (["no", "nor"], [{"field": "", "message": "no"}, {"field": "", "message": "nor"}], "no"),
        ({"non_field_errors": ["no"]}, [{"field": "", "message": "no"}], "no"),
        ({"a": {"b": {"c": ["no"]}}}, [{"field": "a.b.c", "message": "no"}], "a.b.c: no"),
        ({"a": [{}, {"b": ["no"]}]}, [{"field": "a.b", "message": "no"}], "a.b: no"),
        ([{}, {"name": ["no"]}], [{"field": "name", "message": "no", "index": 1}], "[1] name: no"),
    ],
)
def test_each_fault_is_named_by_its_path(detail: Any, errors: Any, told: str) -> None:
    _, body = said(exceptions.ValidationError(detail))
    assert body == {"detail": told, "code": "INVALID_REQUEST", "errors": errors}


_DETAILS = st.recursive(
    st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)  # fmt: skip


@given(_DETAILS)
def test_whatever_the_details_the_body_has_its_shape(detail: Any) -> None:
    status, body = said(exceptions.ValidationError(detail))
    assert (status, set(body)) == (400, {"detail", "code", "errors"})
    assert body["errors"]
    assert all({"field", "message"} <= set(each) <= {"field", "message", "index"} for each in body["errors"])
    json.dumps(body)


# --- Bodies --------------------------------------------------------------------------------------


class Echo(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        return Response(request.data)


class Names(APIView):
    authentication_classes = ()
    permission_classes = ()

    class Name(serializers.Serializer[Any]):
        name = serializers.CharField()

    def post(self, request: Request) -> Response:
        given = self.Name(data=request.data, many=True)
        given.is_valid(raise_exception=True)
        return Response(given.validated_data)


def post(body: Any, content_type: str = "application/json", view: Any = Echo) -> Response:
    request = APIRequestFactory().generic("POST", "/", body, content_type=content_type)
    answer: Response = view.as_view()(request)
    return answer


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "x"]}, [], "text", 7, None])
def test_a_json_body_is_read(value: Any) -> None:
    assert post(json.dumps(value).encode()).data == value


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"[Infinity]", b"9" * 5000]
)
def test_what_is_no_json_is_400(body: bytes) -> None:
    answer = post(body)
    assert (answer.status_code, answer.data["code"]) == (400, "INVALID_REQUEST")
    assert answer.data["errors"][0]["field"] == ""


def test_a_body_beyond_the_limit_is_413_and_another_kind_is_415(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert post(b'"' + b"x" * 90 + b'"').status_code == 200
    assert post(b'"' + b"x" * 100 + b'"').data["code"] == "TOO_LARGE"
    assert post(b"a=1", "application/x-www-form-urlencoded").data["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_of_a_list_each_fault_has_its_index() -> None:
    answer = post(b'[{"name": "a"}, {"name": ""}, {}]', view=Names)
    assert [(each["index"], each["field"]) for each in answer.data["errors"]] == [(1, "name"), (2, "name")]
