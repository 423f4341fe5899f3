"""Native views of accounts: users, customers, tokens, and a token for a password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from django.contrib.auth import update_session_auth_hash
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access, queries, services
from accounts.api.signin import check_password, sign_in
from accounts.api.v6 import filters, serializers
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import ApiToken, Customer, TokenScope, User
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from controlplane.core.openapi import REFERENCE, UUID
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from controlplane.core.rest import JSONBody

NOT_KEPT: Final = {"Cache-Control": "no-store"}


@contextmanager
def user_called_username() -> Iterator[None]:
    """Services name the field as the Mapsor surface does; here it is called `username`."""
    try:
        yield
    except ControlPlaneError as error:
        if error.field == "user":
            error.field = "username"
        raise


# --- Users ---------------------------------------------------------------------------------------

NEW_USER: Final = OpenApiExample(
    "A customer's user",
    request_only=True,
    value={"username": "ada", "role": "customer", "customer": "acme", "email": "ada@example.com"},
)
NEW_PASSWORD: Final = OpenApiExample(
    "A new password of one's own",
    request_only=True,
    value={"current_password": "correct horse", "password": "battery staple 7"},
)
OTHER_ROLE: Final = OpenApiExample("Another role, by an admin", request_only=True, value={"role": "monitor"})


def authorise(actor: User, changes: Mapping[str, Any]) -> None:
    """Raise Forbidden where a user would change of themselves what only admins may."""
    if {"role", "is_active", "instance_limit", "allowed_features"} & set(changes):
        access.demand(actor, "users", access.CHANGE)


def prove_own(request: Request, user: User, changes: dict[str, Any]) -> None:
    """Take the present password out of `changes`, and check it where the own one is to be changed."""
    current = changes.pop("current_password", None)
    if "password" not in changes or user != request.user or not user.has_usable_password():
        return
    if current is None:
        raise InvalidRequest("Your present password is needed to change it.", field="current_password")
    check_password(request._request, user.username, current, field="current_password")


@extend_schema_view(
    list=extend_schema(summary="Users", description="All to an admin; to everybody else themselves."),
    retrieve=extend_schema(summary="A user, by id or uuid"),
)
class Users(NativeViewSet):
    """Who signs in or owns tokens."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = User.objects.none()
    serializer_class = serializers.UserSerializer
    filterset_class = filters.UserFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {
        "id": Key("pk"),
        "username": Key("username"),
        "role": Key("role"),
        "created": Key("created_at"),
        "last_login": Key("last_login", absent=LAST_MOMENT),
    }
    refusals: ClassVar = {"partial_update": (409, 429), "change_me": (409, 429)}

    def get_serializer_class(self) -> Any:
        if self.request.method == "PATCH":
            return serializers.UserChangeSerializer
        return serializers.NewUserSerializer if self.request.method == "POST" else serializers.UserSerializer

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_users(user_of(request)))

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(queries.find_user_for(user_of(request), pk, access.READ))

    @extend_schema(
        summary="Make a user",
        description="For admins.",
        request=serializers.NewUserSerializer,
        responses={201: serializers.UserSerializer},
        examples=[NEW_USER],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "users", access.CHANGE)
        wanted = self.taken()
        password = wanted.pop("password", None)
        if password is not None:
            # Hashing is slow, and `once` holds a transaction.
            password = services.make_ready(password, username=wanted["username"], email=wanted.get("email"))
        with user_called_username():
            ids = self.once(lambda: [str(services.create_user(actor=actor, password=password, **wanted).pk)])
        made = queries.find_user_for(actor, ids[0], access.READ)
        return self.made(serializers.UserSerializer(made).data, "user-detail", made.pk)

    @extend_schema(
        summary="Change a user",
        description="Of themselves, users change e-mail and password; an admin changes everything of everybody.",
        request=serializers.UserChangeSerializer,
        responses={200: serializers.UserSerializer},
        examples=[OTHER_ROLE, NEW_PASSWORD],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        return self._change(queries.find_user_for(user_of(request), pk, access.CHANGE))

    @extend_schema(summary="The caller", responses={200: serializers.UserSerializer})
    @action(detail=False, methods=["get"])
    def me(self, request: Request) -> Response:
        return self._shown(user_of(request))

    @extend_schema(
        summary="Change oneself",
        request=serializers.UserChangeSerializer,
        responses={200: serializers.UserSerializer},
        examples=[NEW_PASSWORD],
    )
    @me.mapping.patch
    def change_me(self, request: Request) -> Response:
        return self._change(user_of(request))

    def _change(self, user: User) -> Response:
        request, changes = self.request, self.taken()
        actor = user_of(request)
        authorise(actor, changes)
        prove_own(request, user, changes)
        changed = services.update_user(user=user, actor=actor, **changes)
        if "password" in changes and changed == actor and request.auth is None:
            update_session_auth_hash(request._request, changed)  # the others of their sessions end
        return self._shown(changed)

    def _shown(self, user: User) -> Response:
        return Response(serializers.UserSerializer(user).data)


# --- Customers -----------------------------------------------------------------------------------


@extend_schema_view(
    list=extend_schema(summary="Customers", description="All to staff; to a customer's user their own."),
    retrieve=extend_schema(summary="A customer"),
)
class Customers(NativeViewSet):
    """Who pays, and whom users and jobs belong to. One is also made when it is first mentioned."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Customer.objects.none()
    serializer_class = serializers.CustomerSerializer
    filterset_class = filters.CustomerFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}

    def get_serializer_class(self) -> Any:
        new = self.request.method == "POST"
        return serializers.NewCustomerSerializer if new else serializers.CustomerSerializer

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_customers(user_of(request)))

    def retrieve(self, request: Request, pk: str) -> Response:
        found = queries.find_customer_for(user_of(request), int(pk))
        return Response(serializers.CustomerSerializer(found).data)

    @extend_schema(
        summary="Make a customer",
        description="For admins and operators.",
        request=serializers.NewCustomerSerializer,
        responses={201: serializers.CustomerSerializer},
        examples=[OpenApiExample("A customer", request_only=True, value={"name": "acme"})],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "customers", access.CHANGE)
        wanted = self.taken()
        ids = self.once(lambda: [str(services.create_customer(actor=actor, **wanted).pk)])
        made = queries.find_customer_for(actor, int(ids[0]))
        return self.made(serializers.CustomerSerializer(made).data, "customer-detail", made.pk)


# --- Tokens --------------------------------------------------------------------------------------


def owner_of_new(actor: User, username: str | None) -> User:
    """Whose a new token is to be. Raises Forbidden, or UserNotFound to who may know."""
    if username is None or username == actor.username:
        return actor
    access.demand(actor, "tokens", access.CHANGE)
    return queries.user_called(username)


@extend_schema_view(
    list=extend_schema(summary="Tokens", description="All to an admin; to everybody else their own."),
    retrieve=extend_schema(summary="A token"),
)
class Tokens(NativeViewSet):
    """What programs sign in with. A token's text is shown once, when it is made."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = ApiToken.objects.none()
    serializer_class = serializers.TokenSerializer
    filterset_class = filters.TokenFilter
    lookup_field = "uuid"
    lookup_value_regex = UUID
    orders: ClassVar[Orders] = {
        "id": Key("pk"),
        "user": Key("user__username"),
        "name": Key("name"),
        "created": Key("created_at"),
        "expires": Key("expires_at", absent=LAST_MOMENT),
        "last_used": Key("last_used_at", absent=LAST_MOMENT),
    }
    default_order = ("-created",)

    def get_serializer_class(self) -> Any:
        return serializers.NewTokenSerializer if self.request.method == "POST" else serializers.TokenSerializer

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_tokens(user_of(request)))

    def retrieve(self, request: Request, uuid: str) -> Response:
        found = queries.find_token_for(user_of(request), uuid, access.READ)
        return Response(serializers.TokenSerializer(found).data)

    @extend_schema(
        summary="Make a token",
        description="`token` is shown in this answer only; repeated with its Idempotency-Key, it is null.",
        request=serializers.NewTokenSerializer,
        responses={201: serializers.IssuedTokenSerializer},
        examples=[
            OpenApiExample(
                "For a pipeline",
                request_only=True,
                value={"name": "ci", "scope": "submit", "expires": "2099-01-01T00:00:00Z"},
            )
        ],
    )
    def create(self, request: Request) -> Response:
        actor, wanted = user_of(request), self.taken()
        owner = owner_of_new(actor, wanted.get("user"))
        made: list[services.NewToken] = []

        def work() -> list[str]:
            new = {"name": wanted["name"], "scope": wanted["scope"], "expires_at": wanted["expires"]}
            made.append(services.create_token(user=owner, actor=actor, **new))
            return [str(made[0].row.uuid)]

        ids = self.once(work)
        row = queries.find_token_for(actor, ids[0], access.READ)
        shown = serializers.IssuedTokenSerializer(row, context={"secret": made[0].secret if made else None})
        return self.made(shown.data, "token-detail", row.uuid, headers=NOT_KEPT)

    @extend_schema(summary="Archive a token", description="It is refused from now on, and stays to be seen.")
    def destroy(self, request: Request, uuid: str) -> Response:
        actor = user_of(request)
        services.archive_token(token=queries.find_token_for(actor, uuid, access.CHANGE), actor=actor)
        return Response(status=204)


# --- Signing in ----------------------------------------------------------------------------------


class ApiTokenAuth(APIView):
    """A new token for a user name and a password."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (JSONBody, FormParser)
    serializer_class = serializers.CredentialsSerializer  # for the form of the browsable API
    refusals: ClassVar = {"post": (403, 429)}

    @extend_schema(
        operation_id="obtain_token",
        summary="Obtain a token for a password",
        description="Too many failures in a row lock the user name out for a while, for the address they came from. "
        "A form is taken as well as JSON.",
        auth=[],
        # JSON alone is declared: makers of clients stumble over one body in two media types.
        request={"application/json": serializers.CredentialsSerializer},
        responses={200: serializers.TokenOnlySerializer},
        examples=[OpenApiExample("Ada", request_only=True, value={"username": "ada", "password": "correct horse"})],
    )
    def post(self, request: Request) -> Response:
        given = serializers.CredentialsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user = sign_in(request._request, given.validated_data["username"], given.validated_data["password"])
        token = services.issue_token(user=user, actor=user, name="api-token-auth")
        return Response({"token": token}, headers=NOT_KEPT)
