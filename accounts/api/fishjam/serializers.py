"""What the Fishjam operations of accounts take and give."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import ApiToken, Feature, FeedbackType, User, Webhook
from accounts.queries import free_tier_of
from accounts.services import authorization_of
from accounts.services.webhooks import MAX_HEADER, MAX_NAME, check_header
from controlplane.core.bodies import OpenBody
from controlplane.core.errors import InvalidRequest
from controlplane.core.outside import MAX_URL

PASSWORD_LENGTH: Final = 128
EMAIL_LENGTH: Final = 254


def _text(length: int, **more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=length, trim_whitespace=False, allow_blank=True, **more)


def _password(**more: Any) -> serializers.CharField:
    return _text(PASSWORD_LENGTH, write_only=True, **more)


@extend_schema_field(OpenApiTypes.EMAIL)
class AddressField(serializers.CharField):
    """An address that is looked at later, since a malformed one is to be a 400."""


@extend_schema_serializer(component_name="SignInIn")
class SignInSerializer(OpenBody):
    email = serializers.EmailField(max_length=EMAIL_LENGTH)
    password = _password()


@extend_schema_serializer(component_name="SignUpIn")
class SignUpSerializer(OpenBody):
    password = _password()
    email = AddressField(max_length=EMAIL_LENGTH)
    registration_token = _text(255, help_text="Invitation token.")


@extend_schema_serializer(component_name="VerifyIn")
class VerifySerializer(OpenBody):
    verification_token = _text(1024)


@extend_schema_serializer(component_name="ResetPasswordIn")
class ResetSerializer(OpenBody):
    email = serializers.EmailField(max_length=EMAIL_LENGTH)


@extend_schema_serializer(component_name="NewPasswordIn")
class NewPasswordSerializer(OpenBody):
    password = _password()


@extend_schema_serializer(component_name="ChangePasswordIn")
class ChangePasswordSerializer(OpenBody):
    old_password = _text(
        PASSWORD_LENGTH,
        required=False,
        allow_null=True,
        help_text="Null or absent for a user who has no password yet.",
    )
    new_password = _password()


@extend_schema_serializer(component_name="GoogleRegisterIn")
class GoogleRegisterSerializer(OpenBody):
    credential = _text(4096, help_text="Google ID token.")
    registration_token = _text(255)


@extend_schema_serializer(component_name="GoogleLoginIn")
class GoogleLoginSerializer(OpenBody):
    credential = _text(4096, help_text="Google ID token.")


@extend_schema_serializer(component_name="UserOut")
class UserSerializer(serializers.Serializer[User]):
    """A user as Fishjam's clients know them; the free tier is their customer's."""

    uuid = serializers.UUIDField()
    email = serializers.SerializerMethodField(help_text="Empty for a user without an e-mail address.")
    has_surpassed_free_tier = serializers.SerializerMethodField()
    free_tier_jellyseconds = serializers.SerializerMethodField(help_text="Free peer-seconds per billing period.")
    has_used_instances = serializers.BooleanField()
    last_feedback_timestamp = serializers.DateTimeField(source="last_feedback_at", allow_null=True)
    instance_limit = serializers.IntegerField(min_value=0)
    allowed_features = serializers.ListField(child=serializers.ChoiceField(choices=Feature.choices))
    has_password = serializers.SerializerMethodField()

    def get_email(self, user: User) -> str:
        return user.email or ""

    def to_representation(self, instance: User) -> dict[str, Any]:
        self._free_tier = free_tier_of(instance)
        shown: dict[str, Any] = super().to_representation(instance)
        return shown

    def get_has_surpassed_free_tier(self, user: User) -> bool:
        return self._free_tier.is_surpassed

    def get_free_tier_jellyseconds(self, user: User) -> int:
        return self._free_tier.free

    def get_has_password(self, user: User) -> bool:
        return user.has_usable_password()


@extend_schema_serializer(component_name="ApiTokenOut")
class TokenSerializer(serializers.Serializer[ApiToken]):
    uuid = serializers.UUIDField()
    prefix = serializers.CharField(help_text="First characters, to tell tokens apart.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(component_name="CreateApiTokenOut")
class NewTokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Secret, shown once.")


@extend_schema_serializer(component_name="FeedbackIn")
class FeedbackSerializer(OpenBody):
    feedback_type = serializers.ChoiceField(choices=FeedbackType.choices)
    message = _text(2000, required=False, default="")


@extend_schema_serializer(component_name="InstanceLimitChangeRequestIn")
class LimitRequestSerializer(OpenBody):
    desired_limit = serializers.IntegerField(min_value=1)
    reason = _text(1024)


# --- Webhooks --------------------------------------------------------------------------------------


@extend_schema_field(OpenApiTypes.URI)
class UrlField(serializers.CharField):
    """An address that is looked at later, since one that is not allowed is to be a 400."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=MAX_URL, trim_whitespace=False, **more)


def _header(**more: Any) -> serializers.CharField:
    return _text(MAX_HEADER, allow_null=True, validators=[_check_header], **more)


def _check_header(text: str) -> None:
    try:
        check_header(text)
    except InvalidRequest as error:
        raise serializers.ValidationError(error.message) from error


@extend_schema_serializer(component_name="WebhookIn")
class NewWebhookSerializer(OpenBody):
    name = serializers.CharField(max_length=MAX_NAME, trim_whitespace=False)
    url = UrlField()
    authorization_header = _header(help_text="Sent as the Authorization header.")


@extend_schema_serializer(component_name="WebhookUpdateIn")
class WebhookChangeSerializer(OpenBody):
    name = serializers.CharField(max_length=MAX_NAME, trim_whitespace=False, required=False, allow_null=True)
    url = UrlField(required=False, allow_null=True)
    authorization_header = _header(required=False, help_text="Null takes it away.")
    is_enabled = serializers.BooleanField(required=False, allow_null=True)


@extend_schema_serializer(component_name="WebhookOut")
class WebhookSerializer(serializers.Serializer[Webhook]):
    """A webhook as its owner sees it, with the header in full."""

    uuid = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.URLField()
    authorization_header = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    is_enabled = serializers.BooleanField()

    def get_authorization_header(self, webhook: Webhook) -> str | None:
        return authorization_of(webhook)
