"""Mapsor's user operations."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

from accounts import services
from accounts.api.mapsor.base import ADMIN, Operation, answer, plain, read_json
from accounts.api.mapsor.schema import AUTH, errors, text
from accounts.api.mapsor.serializers import MapsorIssuedTokenSerializer, MapsorUserNameSerializer
from accounts.models import Role, TokenScope, User
from controlplane.core.errors import InvalidRequest

SHOWN_ONCE: Final = "Please keep the token safely. It cannot be retrieved again"
ROLES: Final = (Role.ADMIN.value, Role.OPERATOR.value, Role.MONITOR.value)


def _username(request: HttpRequest) -> str:
    name = read_json(request).get("user")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("The name of a user is needed, as text.", field="user")
    return name


def _declared(operation_id: str, summary: str, success: dict[Any, Any], **more: Any) -> Any:
    post = extend_schema(
        operation_id=operation_id,
        tags=["Mapsor"],
        summary=summary,
        description=f"{summary}.",  # else the stand-in method's docstring
        auth=AUTH,  # type: ignore[arg-type]
        request=MapsorUserNameSerializer,
        responses={**success, **errors(400, 401, 403, 409)},
        **more,
    )
    return extend_schema_view(post=post)


class UserOperation(Operation):
    roles: ClassVar[tuple[str, ...]] = ADMIN
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    scope: ClassVar[str] = TokenScope.ADMIN

    def post(self) -> None:
        """Stands for `handle` in the schema."""


ROLE: Final = OpenApiParameter("role", str, enum=ROLES, default="operator", description="Role granted to the new user.")


@_declared(
    "mapsor_add_user",
    "Create an API user and return its first token",
    {201: MapsorIssuedTokenSerializer},
    parameters=[ROLE],
)
class AddUser(UserOperation):
    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        role = request.GET.get("role", Role.OPERATOR.value)
        if role not in ROLES:
            raise InvalidRequest(f"A role is one of {', '.join(ROLES)}.", field="role")
        made = services.create_user(username=_username(request), role=role, actor=user)
        token = services.issue_token(user=made, actor=user, name="add-user")
        return answer({"token": token, "message": SHOWN_ONCE}, 201)


@_declared("mapsor_regenerate_token", "Replace the token of an existing user", {201: MapsorIssuedTokenSerializer})
class RegenerateToken(UserOperation):
    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        token = services.regenerate_token(username=_username(request), actor=user)
        return answer({"token": token, "message": SHOWN_ONCE}, 201)


@_declared("mapsor_enable_user", "Allow a disabled user again", text(201, "User enabled."))
class EnableUser(UserOperation):
    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        enabled = services.enable_user(username=_username(request), actor=user)
        return plain(f"Enabled user {enabled.username}", 201)


@_declared("mapsor_disable_user", "Block a user without deleting it", text(201, "User disabled."))
class DisableUser(UserOperation):
    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        disabled = services.disable_user(username=_username(request), actor=user)
        return plain(f"Disabled user {disabled.username}", 201)
