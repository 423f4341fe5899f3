"""Offers and their prices. For staff; admins set prices."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from clusters import queries, services
from clusters.api.v6 import price_serializers as serializers
from clusters.api.v6.filters import OfferFilter, PriceFilter
from clusters.models import FLEET, Offer, Price
from controlplane.core.errors import InvalidRequest
from controlplane.core.pagination import Key, Orders


class OfferViewSet(NativeViewSet):
    """What can be had at a place."""

    queryset = Offer.objects.all()
    serializer_class = serializers.OfferSerializer
    filterset_class = OfferFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "name": Key("name")}
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,)}

    @extend_schema(summary="What can be had, and priced", description="For staff.")
    def list(self, request: Request) -> Response:
        access.demand(user_of(request), "prices", access.READ)
        return self.page(Offer.objects.all())


class PriceViewSet(NativeViewSet):
    """What an hour of an offer costs, from a moment on."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Price.objects.all()
    serializer_class = serializers.PriceSerializer
    filterset_class = PriceFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "valid_from": Key("valid_from")}
    default_order = ("-id",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,), "retrieve": (403,)}

    def get_queryset(self) -> QuerySet[Price]:
        return queries.prices_for(user_of(self.request))

    @extend_schema(
        summary="Prices, newest first",
        description="For staff: those of the past, of now and of what comes. `at` has those valid at a moment.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [_price(each) for each in page])

    @extend_schema(summary="A price")
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(_price(queries.find_price_for(user_of(request), int(pk))))

    @extend_schema(
        summary="Say what an hour of an offer costs",
        description="For admins. From a moment on, for a customer or everybody; it ends the price before it. What has "
        "run keeps its price.",
        request=serializers.NewPriceSerializer,
        responses={201: serializers.PriceSerializer},
        examples=[
            OpenApiExample(
                "A vCPU of this machine",
                request_only=True,
                value={"offer": {"cloud": "local", "name": "vcpu"}, "amount": "0.04"},
            ),
            OpenApiExample(
                "A connected peer",
                request_only=True,
                value={"offer": {"cloud": "fleet", "name": "peer"}, "amount": "0.06", "customer": "acme"},
            ),
        ],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "prices", access.CHANGE)
        wish = self.taken(serializers.NewPriceSerializer)
        if ("offer" in wish) == ("offer_id" in wish):
            raise InvalidRequest("Say which offer: by its id, or by what it is called.", field="offer")
        customer = queries.customer_named(name) if (name := wish.get("customer")) is not None else None
        said = {
            "amount": wish["amount"],
            "actor": actor,
            "customer": customer,
            "valid_from": wish.get("valid_from"),
        }
        made = int(self.once(lambda: [str(_set_price(wish, said).pk)])[0])
        return self.made(_price(queries.find_price_for(actor, made)), "price-detail", made)


def _set_price(wish: dict[str, Any], said: dict[str, Any]) -> Price:
    if "offer_id" in wish:
        return services.set_price(queries.find_offer(wish["offer_id"]), **said)
    offer = wish["offer"]
    if offer["cloud"] != FLEET:
        return services.set_price(queries.offer_named(**offer), **said)
    try:
        return services.set_fleet_price(name=offer["name"], location=offer.get("region", ""), **said)
    except InvalidRequest as error:
        at = {"name": "offer.name", "location": "offer.region"}.get(str(error.field), error.field)
        raise InvalidRequest(error.message, field=at) from error


def _price(row: Price) -> dict[str, Any]:
    offer = row.offer
    return {
        "id": row.pk,
        "offer": {name: getattr(offer, name) for name in ("id", "cloud", "region", "name", "capacity", "measure")},
        "customer": row.customer.name if row.customer else None,
        "amount": f"{row.amount.normalize():f}",
        "currency": queries.CURRENCY,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "source": row.source,
        "imported": row.imported_at,
    }
