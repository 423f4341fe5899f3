"""What webhooks take and show."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts import event_kinds
from accounts.models import DeliveryStatus, Form, User, Webhook, WebhookDelivery
from accounts.services import authorization_of
from accounts.services.webhooks import LARGEST_ID, MAX_HEADER, MAX_NAME
from controlplane.core.bodies import Body
from controlplane.core.outside import MAX_URL


class KindsField(serializers.ListField):
    """Kinds of events; whether they exist is the service's to say."""

    def __init__(self, **more: Any) -> None:
        child = serializers.ChoiceField(choices=event_kinds.KIND_CHOICES)
        words = "Kinds of events that it is told of; none: all of them."
        super().__init__(child=child, max_length=len(event_kinds.KINDS), help_text=words, **more)


def _name(**more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=MAX_NAME, trim_whitespace=False, **more)


def _url(**more: Any) -> serializers.CharField:
    words = "https:// and on the internet, unless the deployment lists its network."
    return serializers.CharField(max_length=MAX_URL, trim_whitespace=False, help_text=words, **more)


def _header(**more: Any) -> serializers.CharField:
    words = "Sent as the Authorization header; never shown. Null: none."
    more |= {"allow_null": True, "required": False, "write_only": True, "trim_whitespace": False}
    return serializers.CharField(max_length=MAX_HEADER, help_text=words, **more)


def _subject_kind() -> serializers.ChoiceField:
    words = "Told only of what happens to such; null: to anything."
    return serializers.ChoiceField(
        choices=event_kinds.SUBJECT_CHOICES, required=False, allow_null=True, help_text=words
    )


def _subject_id() -> serializers.IntegerField:
    words = "Told only of what happens to this one; together with subject_kind."
    return serializers.IntegerField(min_value=0, max_value=LARGEST_ID, required=False, allow_null=True, help_text=words)


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    owner = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    form = serializers.ChoiceField(
        choices=Form.choices, help_text="How it speaks: Standard Webhooks, or as in Fishjam Cloud."
    )
    kinds = KindsField()
    subject_kind = serializers.SerializerMethodField()
    has_authorization = serializers.SerializerMethodField(help_text="Whether an Authorization header is sent.")
    created = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            *("id", "uuid", "owner", "name", "url", "form", "kinds", "subject_kind", "subject_id"),
            *("has_authorization", "is_enabled", "disabled_because", "failures", "failing_since", "next_call_at"),
            "created",
        )
        read_only_fields = fields
        extra_kwargs = {
            "disabled_because": {"help_text": "Why it was disabled, when nobody did it by hand."},
            "failing_since": {"help_text": "Since when no call has worked; null when the last one did."},
            "next_call_at": {"help_text": "When its address is called next at the earliest."},
        }

    def get_subject_kind(self, webhook: Webhook) -> str | None:
        return webhook.subject_kind or None

    def get_has_authorization(self, webhook: Webhook) -> bool:
        return authorization_of(webhook) is not None


class MadeWebhookSerializer(WebhookSerializer):
    secret = serializers.SerializerMethodField(help_text="What it signs with, this once; null in a repeated answer.")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = fields

    def get_secret(self, webhook: Webhook) -> str | None:
        secret: str | None = self.context["secret"]
        return secret


class SecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(
        allow_null=True, help_text="What it signs with from now on, this once; null in a repeated answer."
    )


class NewWebhookSerializer(Body):
    name = _name()
    url = _url()
    form = serializers.ChoiceField(choices=Form.choices, default=Form.STANDARD)
    kinds = KindsField(required=False)
    subject_kind = _subject_kind()
    subject_id = _subject_id()
    authorization = _header()


class WebhookChangeSerializer(Body):
    name = _name(required=False)
    url = _url(required=False)
    kinds = KindsField(required=False)
    subject_kind = _subject_kind()
    subject_id = _subject_id()
    authorization = _header()
    is_enabled = serializers.BooleanField(
        required=False, help_text="Enabled anew, its failures of before are forgotten."
    )


# --- Deliveries ----------------------------------------------------------------------------------


class TrySerializer(serializers.Serializer[Any]):
    """What came of one call."""

    at = serializers.CharField()
    status = serializers.IntegerField(required=False, help_text="Of the answer.")
    error = serializers.CharField(required=False, help_text="Why there was no answer.")
    took_ms = serializers.IntegerField(required=False)
    answer = serializers.CharField(required=False, help_text="How the answer begins.")


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    subject = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    tries = TrySerializer(many=True)
    created = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = WebhookDelivery
        fields: tuple[str, ...] = (
            *("position", "kind", "subject", "status", "attempts", "tries", "created", "due_at"),
            *("first_sent_at", "ended_at"),
        )
        read_only_fields = fields
        extra_kwargs = {
            "position": {"help_text": "The event's, and the id under which it is sent, each time."},
            "attempts": {"help_text": "Calls so far, since it was last sent again by hand."},
        }

    def get_subject(self, row: WebhookDelivery) -> dict[str, Any]:
        return {"kind": row.subject_kind, "id": row.subject_id}


class WholeDeliverySerializer(DeliverySerializer):
    class Meta(DeliverySerializer.Meta):
        fields = (*DeliverySerializer.Meta.fields, "body")
        read_only_fields = fields


class RedeliverSerializer(Body):
    first = serializers.IntegerField(min_value=1, max_value=LARGEST_ID, required=False)
    last = serializers.IntegerField(min_value=1, max_value=LARGEST_ID, required=False)
    position = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, help_text="Of a single one, instead of first and last."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "position" in given and set(given) == {"position"}:
            return {"first": given["position"], "last": given["position"]}
        if set(given) != {"first", "last"}:
            raise serializers.ValidationError({"position": ["This is needed, or first and last instead."]})
        return given


class RedeliveredSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="How many are sent again.")
