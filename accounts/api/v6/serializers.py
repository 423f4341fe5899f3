"""What the native resources of accounts take and show."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from accounts.models import ApiToken, Customer, Feature, LimitChangeRequest, Role, TokenScope, User
from accounts.services.limits import HIGHEST
from controlplane.core.bodies import Body


def _name(**more: Any) -> serializers.CharField:
    return serializers.CharField(trim_whitespace=False, **more)


def _password(**more: Any) -> serializers.CharField:
    return _name(max_length=128, write_only=True, style={"input_type": "password"}, **more)


# --- Users ---------------------------------------------------------------------------------------


class UserSerializer(serializers.ModelSerializer[User]):
    customer = serializers.SlugRelatedField[Customer](slug_field="name", read_only=True, allow_null=True)
    created = serializers.DateTimeField(source="created_at", read_only=True)
    allowed_features = serializers.ListField(child=serializers.ChoiceField(choices=Feature.choices), read_only=True)

    class Meta:
        model = User
        fields: tuple[str, ...] = (
            *("id", "uuid", "username", "email", "role", "customer", "is_active", "is_verified", "instance_limit"),
            *("allowed_features", "created", "last_login"),
        )
        read_only_fields = fields


class NewUserSerializer(Body):
    username = _name(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)
    customer = _name(
        max_length=255, required=False, allow_null=True, help_text="Name; made if it is new. For the role customer."
    )
    email = serializers.EmailField(max_length=254, required=False, allow_null=True)
    password = _password(required=False, allow_null=True, help_text="Without one only tokens work.")


class UserChangeSerializer(Body):
    role = serializers.ChoiceField(choices=Role.choices, required=False, help_text="Changed by admins only.")
    is_active = serializers.BooleanField(required=False, help_text="Changed by admins only; false is a disabled user.")
    email = serializers.EmailField(max_length=254, required=False, allow_null=True)
    password = _password(required=False)
    instance_limit = serializers.IntegerField(
        min_value=0, max_value=HIGHEST, required=False, help_text="Changed by admins only."
    )
    allowed_features = serializers.ListField(
        child=serializers.ChoiceField(choices=Feature.choices),
        max_length=len(Feature.values),
        required=False,
        help_text="Changed by admins only: these and no others.",
    )
    current_password = _password(required=False, help_text="Needed to change the own password, if there is one.")


# --- Customers -----------------------------------------------------------------------------------


class CustomerSerializer(serializers.ModelSerializer[Customer]):
    created = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Customer
        fields = ("id", "name", "created")
        read_only_fields = fields


class NewCustomerSerializer(Body):
    name = _name(max_length=255)


# --- Tokens --------------------------------------------------------------------------------------


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    id = serializers.UUIDField(source="uuid", read_only=True)
    user = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    created = serializers.DateTimeField(source="created_at", read_only=True)
    expires = serializers.DateTimeField(source="expires_at", read_only=True, allow_null=True)
    last_used = serializers.DateTimeField(
        source="last_used_at", read_only=True, allow_null=True, help_text="To the minute."
    )
    archived = serializers.DateTimeField(source="archived_at", read_only=True, allow_null=True)

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id",
            "user",
            "name",
            "scope",
            "prefix",
            "created",
            "expires",
            "last_used",
            "archived",
        )
        read_only_fields = fields


class IssuedTokenSerializer(TokenSerializer):
    token = serializers.SerializerMethodField(help_text="The token, this once; null in a repeated answer.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields

    def get_token(self, row: ApiToken) -> str | None:
        secret: str | None = self.context["secret"]
        return secret


class NewTokenSerializer(Body):
    name = _name(max_length=128, required=False, default="", allow_blank=True)
    scope = serializers.ChoiceField(
        choices=TokenScope.choices,
        required=False,
        default=TokenScope.ADMIN,
        help_text="How far it reaches, each as far as those before it: read; submit makes jobs, recipes, files and "
        "artifacts; manage changes and deletes; admin is all that its owner may.",
    )
    expires = serializers.DateTimeField(required=False, allow_null=True, default=None)
    user = _name(max_length=150, required=False, help_text="Whose it is to be, for admins; the caller's by default.")


# --- Wishes for higher limits ---------------------------------------------------------------------


class LimitRequestSerializer(serializers.ModelSerializer[LimitChangeRequest]):
    user = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    limit_then = serializers.IntegerField(read_only=True, help_text="Their limit when they asked.")
    created = serializers.DateTimeField(source="created_at", read_only=True)
    decided_by = serializers.SlugRelatedField[User](
        slug_field="username", read_only=True, allow_null=True, help_text="Told to staff only."
    )
    decided = serializers.DateTimeField(source="decided_at", read_only=True, allow_null=True)

    class Meta:
        model = LimitChangeRequest
        fields: tuple[str, ...] = (
            *("id", "user", "limit_then", "desired_limit", "reason", "status", "note", "created", "decided_by"),
            "decided",
        )
        read_only_fields = fields

    def to_representation(self, row: LimitChangeRequest) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(row)
        return shown if self.context["is_staff"] else {**shown, "decided_by": None}


class NewLimitRequestSerializer(Body):
    desired_limit = serializers.IntegerField(min_value=1, max_value=HIGHEST)
    reason = _name(max_length=1024, allow_blank=True)


class DecisionSerializer(Body):
    note = _name(
        max_length=1024, required=False, default="", allow_blank=True, help_text="Mailed to the user with the decision."
    )


# --- Signing in ----------------------------------------------------------------------------------


@extend_schema_serializer(component_name="Credentials")
class CredentialsSerializer(Body):
    username = _name(max_length=150)
    password = _password()


@extend_schema_serializer(component_name="TokenOnly")
class TokenOnlySerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
