"""Fishjam's API tokens: the caller's own, whatever their role."""

from __future__ import annotations

from typing import ClassVar, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries, services
from accounts.api.fishjam.base import DetailSerializer, Operation, declared, detail, read_uuid
from accounts.api.fishjam.serializers import NewTokenSerializer, TokenSerializer
from accounts.api.v6.base import user_of
from accounts.errors import TokenNotFound
from accounts.models import TokenScope

TOKEN_UUID: Final = OpenApiParameter("token_uuid", OpenApiTypes.UUID, "path")


class Tokens(Operation):
    changes: ClassVar[str] = TokenScope.ADMIN
    noun = "own token"
    for_sessions = frozenset({"post"})

    @declared(
        "fishjam_list_api_tokens", "The caller's tokens that are not archived", 200, TokenSerializer(many=True), 401
    )
    def get(self, request: Request) -> Response:
        rows = queries.own_live_tokens(user_of(request)).order_by("-created_at")
        return Response([TokenSerializer(each).data for each in rows])

    @declared(
        "fishjam_create_api_token",
        "Make a token, shown this once",
        201,
        NewTokenSerializer,
        *(401, 403),
        request=None,
    )
    def post(self, request: Request) -> Response:
        user = user_of(request)
        return Response({"token": services.issue_token(user=user, actor=user, name="fishjam")}, status=201)


class OneToken(Operation):
    changes: ClassVar[str] = TokenScope.ADMIN
    noun = "own token"

    @declared(
        "fishjam_archive_api_token",
        "Archive a token: it is refused from now on",
        200,
        DetailSerializer,
        *(401, 403, 404, 422),
        parameters=[TOKEN_UUID],
    )
    def delete(self, request: Request, token_uuid: str) -> Response:
        user = user_of(request)
        token = queries.own_live_tokens(user).filter(uuid=read_uuid(token_uuid, "token_uuid")).first()
        if token is None:
            raise TokenNotFound
        services.archive_token(token=token, actor=user)
        return detail("The token is archived.")
