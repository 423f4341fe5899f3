"""Fishjam's webhooks: the caller's own, whatever their role, and what is sent to them."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries, services
from accounts.api.fishjam.base import BadPath, DetailSerializer, OpenOperation, Operation, declared, detail, read_uuid
from accounts.api.fishjam.serializers import NewWebhookSerializer, WebhookChangeSerializer, WebhookSerializer
from accounts.api.v6.base import user_of
from accounts.errors import WebhookNotFound
from accounts.fishjam_events import json_schema
from accounts.models import Form, User, Webhook

UUID: Final = OpenApiParameter("uuid", OpenApiTypes.UUID, "path")


class NotificationSchema(OpenOperation):
    @declared("fishjam_get_notification_schema", "JSON Schema of webhook payloads", 200, OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response(json_schema())


class Webhooks(Operation):
    noun = "own webhook"

    @declared("fishjam_list_webhooks", "Webhooks of the caller", 200, WebhookSerializer(many=True), 401)
    def get(self, request: Request) -> Response:
        rows = queries.own_fishjam_webhooks(user_of(request)).order_by("pk")
        return Response([WebhookSerializer(each).data for each in rows])

    @declared(
        "fishjam_create_webhook",
        "Add a webhook",
        201,
        WebhookSerializer,
        *(400, 401, 403, 422),
        request=NewWebhookSerializer,
    )
    def post(self, request: Request) -> Response:
        user, given = user_of(request), self.taken(NewWebhookSerializer)
        sealed = services.seal(given["authorization_header"])
        made = services.make_webhook(
            owner=user, actor=user, sealed=sealed, name=given["name"], url=given["url"], form=Form.FISHJAM
        )
        return Response(WebhookSerializer(made).data, status=201)


class OneWebhook(Operation):
    noun = "own webhook"

    @declared(
        "fishjam_update_webhook",
        "Change a webhook: what is absent or null stays, but a header that is null is taken away",
        200,
        DetailSerializer,
        *(400, 401, 403, 404, 422),
        request=WebhookChangeSerializer,
        parameters=[UUID],
    )
    def patch(self, request: Request, uuid: str) -> Response:
        user = user_of(request)
        webhook, given = own(user, uuid), self.taken(WebhookChangeSerializer)
        changes: Any = {name: given[name] for name in ("name", "url", "is_enabled") if given.get(name) is not None}
        if "authorization_header" in given:
            changes["authorization"] = given["authorization_header"]
        services.change_webhook(webhook=webhook, actor=user, **changes)
        return detail("The webhook is saved.")

    @declared(
        "fishjam_delete_webhook",
        "Remove a webhook, with what was on its way to it",
        200,
        DetailSerializer,
        *(401, 403, 404),
        parameters=[UUID],
    )
    def delete(self, request: Request, uuid: str) -> Response:
        user = user_of(request)
        services.delete_webhook(webhook=own(user, uuid), actor=user)
        return detail("The webhook is removed.")


def own(user: User, uuid: str) -> Webhook:
    """Their webhook with this uuid. Raises WebhookNotFound, also for what is no uuid."""
    try:
        key = read_uuid(uuid, "uuid")
    except BadPath as error:
        raise WebhookNotFound from error
    found = queries.own_fishjam_webhooks(user).filter(uuid=key).first()
    if found is None:
        raise WebhookNotFound
    return found
