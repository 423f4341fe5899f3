"""Native views of wishes for higher limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, queries, services
from accounts.api.v6 import filters, serializers
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import LimitChangeRequest, TokenScope
from controlplane.core.pagination import LAST_MOMENT, Key, Orders

WISH: Final = OpenApiExample(
    "More instances", request_only=True, value={"desired_limit": 1000, "reason": "We open in another country."}
)
DECISION: Final = OpenApiExample("With a word", request_only=True, value={"note": "Good luck with it."})


@extend_schema_view(
    list=extend_schema(summary="Wishes for higher limits", description="All to staff; to everybody else their own."),
    retrieve=extend_schema(summary="A wish for a higher limit"),
)
class LimitRequests(NativeViewSet):
    """Who asks for more instances at a time. One of a user waits at most; staff decide once."""

    changes: ClassVar[str] = TokenScope.ADMIN
    scopes: ClassVar = {"create": TokenScope.MANAGE}
    queryset = LimitChangeRequest.objects.none()
    serializer_class = serializers.LimitRequestSerializer
    filterset_class = filters.LimitRequestFilter
    orders: ClassVar[Orders] = {
        "id": Key("pk"),
        "created": Key("created_at"),
        "decided": Key("decided_at", absent=LAST_MOMENT),
    }
    default_order = ("-id",)

    def get_serializer_class(self) -> Any:
        new = self.request.method == "POST"
        return serializers.NewLimitRequestSerializer if new else serializers.LimitRequestSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        user = self.request.user
        return {**super().get_serializer_context(), "is_staff": getattr(user, "is_staff", False)}

    def list(self, request: Request) -> Response:
        return self.page(queries.visible_limit_requests(user_of(request)))

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(queries.find_limit_request_for(user_of(request), int(pk), access.READ))

    @extend_schema(
        summary="Ask for a higher limit",
        request=serializers.NewLimitRequestSerializer,
        responses={201: serializers.LimitRequestSerializer},
        examples=[WISH],
    )
    def create(self, request: Request) -> Response:
        user, wanted = user_of(request), self.taken()
        ids = self.once(lambda: [str(services.request_limit(user=user, **wanted).pk)])
        made = queries.find_limit_request_for(user, int(ids[0]), access.READ)
        return self.made(self._shown(made).data, "limit-change-request-detail", made.pk)

    @extend_schema(
        summary="Give a user the limit that they ask for",
        description="For admins and operators. A limit that is higher by now stays. The user gets a mail.",
        request=serializers.DecisionSerializer,
        responses={200: serializers.LimitRequestSerializer},
        examples=[DECISION],
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        return self._decide(pk, services.approve_limit)

    @extend_schema(
        summary="Leave a user's limit as it is",
        description="For admins and operators. The user gets a mail.",
        request=serializers.DecisionSerializer,
        responses={200: serializers.LimitRequestSerializer},
        examples=[DECISION],
    )
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        return self._decide(pk, services.reject_limit)

    def _decide(self, pk: str, decide: Callable[..., None]) -> Response:
        actor = user_of(self.request)
        found = queries.find_limit_request_for(actor, int(pk), access.CHANGE)
        note = self.taken(serializers.DecisionSerializer)["note"]

        def work() -> list[str]:
            decide(request=found, actor=actor, note=note)
            return [str(found.pk)]

        self.once(work)
        return self._shown(queries.find_limit_request_for(actor, int(pk), access.READ))

    def _shown(self, row: LimitChangeRequest) -> Response:
        return Response(serializers.LimitRequestSerializer(row, context=self.get_serializer_context()).data)
