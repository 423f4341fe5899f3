"""What lists of users, customers, tokens, webhooks and deliveries can be asked for."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import event_kinds
from accounts.models import (
    ApiToken,
    Customer,
    DeliveryStatus,
    Form,
    LimitChangeRequest,
    LimitRequestStatus,
    Role,
    User,
    Webhook,
    WebhookDelivery,
)
from controlplane.core.filters import BooleanFilter, ChoicesFilter, FilterSet, MomentFilter, TextsFilter


class UserFilter(FilterSet):
    username = TextsFilter(field_name="username", label="user name")
    role = ChoicesFilter(choices=Role.values, field_name="role", label="role")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    is_active = BooleanFilter(field_name="is_active", label="enabled")

    class Meta:
        model = User
        fields: list[str] = []


class CustomerFilter(FilterSet):
    name = TextsFilter(field_name="name", label="name")

    class Meta:
        model = Customer
        fields: list[str] = []


class TokenFilter(FilterSet):
    user = TextsFilter(field_name="user__username", label="user name of whose it is")
    name = TextsFilter(field_name="name", label="name")
    archived = BooleanFilter(method="is_archived", label="archived, so refused")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte", label="made at or after")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lte", label="made at or before")

    class Meta:
        model = ApiToken
        fields: list[str] = []

    def is_archived(self, tokens: QuerySet[ApiToken], name: str, value: bool) -> QuerySet[ApiToken]:
        return tokens.filter(archived_at__isnull=not value)


class LimitRequestFilter(FilterSet):
    user = TextsFilter(field_name="user__username", label="user name of whose it is")
    status = ChoicesFilter(choices=LimitRequestStatus.values, field_name="status", label="what became of it")

    class Meta:
        model = LimitChangeRequest
        fields: list[str] = []


class WebhookFilter(FilterSet):
    owner = TextsFilter(field_name="owner__username", label="user name of whose it is")
    name = TextsFilter(field_name="name", label="name")
    form = ChoicesFilter(  # type: ignore[assignment] # the metaclass takes it away
        choices=Form.values, field_name="form", label="how it speaks"
    )
    is_enabled = BooleanFilter(field_name="is_enabled", label="enabled")
    failing = BooleanFilter(method="is_failing", label="its last call failed")

    class Meta:
        model = Webhook
        fields: list[str] = []

    def is_failing(self, webhooks: QuerySet[Webhook], name: str, value: bool) -> QuerySet[Webhook]:
        return webhooks.filter(failing_since__isnull=not value)


class DeliveryFilter(FilterSet):
    status = ChoicesFilter(choices=DeliveryStatus.values, field_name="status", label="status")
    kind = ChoicesFilter(choices=list(event_kinds.KINDS), field_name="kind", label="kind of event")

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []
