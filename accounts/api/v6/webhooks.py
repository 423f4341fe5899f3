"""Webhooks: who is told of events by HTTP, and what came of telling them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, queries, services
from accounts.api.v6 import webhook_serializers as serializers
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.api.v6.filters import DeliveryFilter, WebhookFilter
from accounts.api.v6.views import NOT_KEPT
from accounts.models import Webhook, WebhookDelivery
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders

NEW: Final = OpenApiExample(
    "All that happens to jobs",
    request_only=True,
    value={"name": "ci", "url": "https://example.com/hook", "subject_kind": "job"},
)
WEBHOOK: Final = OpenApiParameter("webhook", str, "path", description="Its id or uuid.")
POSITION: Final = OpenApiParameter(
    "position", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, "path", description="The event's."
)


def said(given: dict[str, Any]) -> dict[str, Any]:
    """A body as services take it, which know no null for the kind of a subject."""
    if given.get("subject_kind", "") is None:
        given["subject_kind"] = ""
    return given


@extend_schema_view(
    list=extend_schema(summary="Webhooks", description="All to staff; to everybody else their own."),
    retrieve=extend_schema(summary="A webhook, by id or uuid"),
)
class Webhooks(NativeViewSet):
    """Addresses that are told of the events that their owners may read."""

    queryset = Webhook.objects.none()
    serializer_class = serializers.WebhookSerializer
    filterset_class = WebhookFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name"), "created": Key("created_at")}
    refusals: ClassVar = {"create": (409,), "partial_update": (409,), "rotate_secret": (409,), "redeliver": (409,)}

    def get_serializer_class(self) -> Any:
        bodies = {
            "create": serializers.NewWebhookSerializer,
            "partial_update": serializers.WebhookChangeSerializer,
            "redeliver": serializers.RedeliverSerializer,
        }
        return bodies.get(self.action, serializers.WebhookSerializer)

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_webhooks(user_of(request)))

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(self._found(pk, access.READ))

    @extend_schema(
        summary="Make a webhook",
        description="It is told of what happens from now on. `secret`, which its calls are signed with, is shown in "
        "this answer only; repeated with its Idempotency-Key, it is null.",
        request=serializers.NewWebhookSerializer,
        responses={201: serializers.MadeWebhookSerializer},
        examples=[NEW],
    )
    def create(self, request: Request) -> Response:
        actor, wanted = user_of(request), said(self.taken())
        sealed, made = services.seal(wanted.pop("authorization", None)), []  # before `once` begins its transaction

        def work() -> list[str]:
            made.append(services.make_webhook(owner=actor, actor=actor, sealed=sealed, **wanted))
            return [str(made[0].pk)]

        row = queries.find_webhook_for(actor, self.once(work)[0], access.READ)
        shown = serializers.MadeWebhookSerializer(row, context={"secret": sealed.signing if made else None})
        return self.made(shown.data, "webhook-detail", row.pk, headers=NOT_KEPT)

    @extend_schema(
        summary="Change a webhook",
        description="Another address, and being enabled anew, begin without the failures of before.",
        request=serializers.WebhookChangeSerializer,
        responses={200: serializers.WebhookSerializer},
        examples=[OpenApiExample("Stop it", request_only=True, value={"is_enabled": False})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        webhook = self._found(pk, access.CHANGE)
        changes: Any = said(self.taken())
        return self._shown(services.change_webhook(webhook=webhook, actor=user_of(request), **changes))

    @extend_schema(summary="Remove a webhook", description="With its deliveries, also those that are not sent yet.")
    def destroy(self, request: Request, pk: str) -> Response:
        services.delete_webhook(webhook=self._found(pk, access.CHANGE), actor=user_of(request))
        return Response(status=204)

    @extend_schema(
        summary="Sign with a new secret",
        operation_id="rotate_webhook_secret",
        description="From now on. It is shown in this answer only; repeated with its Idempotency-Key, it is null.",
        request=None,
        responses={200: serializers.SecretSerializer},
    )
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        webhook, made = self._found(pk, access.CHANGE), []

        def work() -> list[str]:
            made.append(services.rotate_secret(webhook=webhook, actor=user_of(request)))
            return [str(webhook.pk)]

        self.once(work)
        return Response({"secret": made[0] if made else None}, headers=NOT_KEPT)

    @extend_schema(
        summary="Send again",
        description="The deliveries of events from one position to another, at most 10 000, whatever became of them. "
        "Each keeps its id.",
        request=serializers.RedeliverSerializer,
        responses={200: serializers.RedeliveredSerializer},
        examples=[
            OpenApiExample("A range", request_only=True, value={"first": 1, "last": 1000}),
            OpenApiExample("A single one", request_only=True, value={"position": 42}),
        ],
    )
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: str) -> Response:
        webhook, given = self._found(pk, access.CHANGE), self.taken()
        ids = self.once(lambda: [str(services.redeliver(webhook=webhook, actor=user_of(request), **given))])
        return Response({"count": int(ids[0])})

    def _found(self, reference: str, right: str) -> Webhook:
        return queries.find_webhook_for(user_of(self.request), reference, right)

    def _shown(self, webhook: Webhook) -> Response:
        return Response(serializers.WebhookSerializer(webhook).data)


class Deliveries(NativeViewSet):
    """What was sent to a webhook, and is to be sent, the newest first."""

    queryset = WebhookDelivery.objects.none()
    serializer_class = serializers.DeliverySerializer
    filterset_class = DeliveryFilter
    orders: ClassVar[Orders] = {"id": Key("pk")}
    default_order = ("-id",)

    @extend_schema(
        summary="Deliveries of a webhook",
        operation_id="list_webhook_deliveries",
        parameters=[WEBHOOK],
        description="Each event that it is told of, with what came of each call.",
    )
    def list(self, request: Request, webhook: str) -> Response:
        row = queries.find_webhook_for(user_of(request), webhook, access.READ)
        return self.page(WebhookDelivery.objects.filter(webhook=row).defer("body"))

    @extend_schema(
        summary="A delivery, with what is sent",
        operation_id="get_webhook_delivery",
        parameters=[WEBHOOK, POSITION],
        responses={200: serializers.WholeDeliverySerializer},
    )
    def retrieve(self, request: Request, webhook: str, position: str) -> Response:
        row = queries.find_webhook_for(user_of(request), webhook, access.READ)
        found = queries.find_delivery(row, int(position))
        return Response(serializers.WholeDeliverySerializer(found).data)
