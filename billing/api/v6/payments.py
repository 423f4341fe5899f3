"""The native way to Stripe's own page, where people say how they pay and find their bills."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.v6.base import NativeViewSet, user_of
from billing import services
from billing.models import PaymentDetails
from controlplane.core.bodies import Body
from controlplane.core.outside import MAX_URL

WISH: Final = OpenApiExample("Back to where people came from", request_only=True, value={})


class PortalWishSerializer(Body):
    return_url = serializers.CharField(
        max_length=MAX_URL,
        required=False,
        help_text="Where the page leads back to: below ACCOUNT_URL, PUBLIC_URL or an origin of CORS_ALLOWED_ORIGINS. "
        "Without it, to ACCOUNT_URL.",
    )


class PortalSerializer(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="Stripe's page for this customer; open it at once, it is good for minutes.")


class Portal(NativeViewSet):
    """Stripe's customer portal."""

    queryset = PaymentDetails.objects.none()
    serializer_class = PortalWishSerializer
    pagination_class = None
    filter_backends = ()
    noun = "own payments"
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"make": (404,)}

    @extend_schema(
        summary="Open Stripe's page for cards and bills",
        operation_id="create_payments_portal",
        description="For whoever made the payment details. Cards are said there, never here.",
        request=PortalWishSerializer,
        responses={201: PortalSerializer},
        examples=[WISH],
    )
    def make(self, request: Request) -> Response:
        wish = self.taken()
        self.once(list)  # a key that is none is refused; a page is good for minutes, so each call gets its own
        url = services.portal_link(user=user_of(request), return_url=wish.get("return_url") or settings.ACCOUNT_URL)
        return Response({"url": url}, status=201, headers={"Cache-Control": "no-store"})
