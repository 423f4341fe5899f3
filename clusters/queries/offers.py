"""Offers and prices, as staff see and name them."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from accounts import access
from accounts.models import Customer, User
from clusters.errors import PriceNotFound
from clusters.models import Offer, Price
from controlplane.core.errors import InvalidRequest


def prices_for(actor: User) -> QuerySet[Price]:
    """All prices there are, were and will be. Raises Forbidden for who is no staff."""
    access.demand(actor, "prices", access.READ)
    return Price.objects.select_related("offer", "customer")


def find_price_for(actor: User, price_id: int) -> Price:
    """Raises PriceNotFound, Forbidden."""
    found = prices_for(actor).filter(pk=price_id).first()
    if found is None:
        raise PriceNotFound
    return found


def valid_at(prices: QuerySet[Price], at: datetime) -> QuerySet[Price]:
    """Those that have begun by then, and not ended."""
    return prices.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=at), valid_from__lte=at)


def find_offer(offer_id: int) -> Offer:
    """Raises InvalidRequest naming the field."""
    found = Offer.objects.filter(pk=offer_id).first()
    if found is None:
        raise InvalidRequest("There is no such offer.", field="offer_id")
    return found


def offer_named(cloud: str, name: str, region: str = "", capacity: str = "") -> Offer:
    """The one offer that is called so. Raises InvalidRequest naming the field."""
    found = Offer.objects.filter(cloud=cloud, region=region, name=name).order_by("pk")
    found = found.filter(capacity=capacity) if capacity else found
    rows = list(found[:2])
    if not rows:
        raise InvalidRequest("There is no such offer.", field="offer")
    if len(rows) > 1:
        raise InvalidRequest("There is more than one: say of which capacity.", field="offer.capacity")
    return rows[0]


def customer_named(name: str) -> Customer:
    """Raises InvalidRequest naming the field."""
    found = Customer.objects.filter(name=name).first()
    if found is None:
        raise InvalidRequest("There is no such customer.", field="customer")
    return found
