"""Prices: the list, and whose word each is. They are set on the page of their offer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import Customer, Event
from clusters.models import Offer, Price, Source
from clusters.services import facts_of_price
from controlplane.core.admin import badge, link, table, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.history import Past
from controlplane.core.keyset_admin import KeysetAdmin

SHOWN: Final = 100  # prices of an offer


def shown_source(source: str) -> SafeString | str:
    """Whose word a price is; an example is marked, so that nobody takes it for one."""
    return badge("EXAMPLE, no quote", "waiting") if source == Source.EXAMPLE else Source(source).label


def prices_then(request: HttpRequest, offer: Offer, at: int | datetime) -> list[tuple[str, SafeString | str]]:
    """The prices of an offer that were in force at a moment, each with a link that sets it again from now on.

    Prices are dated: so this is known also where the event log does not reach.
    """
    moment = at if isinstance(at, datetime) else Event.objects.filter(pk=at).values_list("at", flat=True).first()
    if moment is None:
        return []
    begun = Q(valid_from__lte=moment) & (Q(valid_to=None) | Q(valid_to__gt=moment))
    found = offer.prices.filter(begun).select_related("customer").order_by("customer__name", "pk")[: SHOWN + 1]
    may_set = request.user.has_perm("clusters.add_price")
    rows = [
        (
            *(price.customer or "everybody", f"{price.amount.normalize():f}", when(price.valid_from)),
            *(when(price.valid_to), shown_source(price.source), _again(offer, price) if may_set else ""),
        )
        for price in found
    ]
    heads = ("For", "USD per hour", "From", "To", "Source", "")
    heading = "Prices in force then" if len(rows) <= SHOWN else f"{SHOWN} of the prices in force then"
    return [(heading, table(heads, rows[:SHOWN]) if rows else "None.")]


def _again(offer: Offer, price: Price) -> SafeString:
    wish = {"amount": f"{price.amount.normalize():f}", "customer": price.customer.name if price.customer else ""}
    return link(f"{reverse('admin:clusters_offer_price', args=[offer.pk])}?{urlencode(wish)}", "Restore this")


class SourceFilter(ChoiceFilter):
    title = "source"
    parameters = ("source",)
    words = tuple((value, str(text)) for value, text in Source.choices)


class PriceCustomerFilter(TextFilter):
    title = "customer, its whole name"
    parameters = ("customer",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        found = Customer.objects.filter(name__in=self.values["customer"])
        return rows.filter(customer__in=list(found.values_list("pk", flat=True)))


@admin.register(Price)
class PriceAdmin(KeysetAdmin):
    list_display = ("id", "offer", "of_customer", "amount", "begins", "ends", "whose_word")
    list_display_links = ("id", "offer")
    list_filter = (SourceFilter, PriceCustomerFilter)
    list_select_related = ("offer", "customer")
    fields = ("offer", "of_customer", "amount", "begins", "ends", "whose_word", "imported_at")
    readonly_fields = ("of_customer", "begins", "ends", "whose_word")
    history_of = "price"

    def configuration(self, price: Price) -> dict[str, Any]:
        return facts_of_price(price)

    def around(
        self, request: HttpRequest, row: Price, past: Past, at: int | datetime
    ) -> list[tuple[str, SafeString | str]]:
        return prices_then(request, row.offer, at)

    @admin.display(description="customer")
    def of_customer(self, price: Price) -> str:
        return str(price.customer) if price.customer else "everybody"

    @admin.display(description="valid from")
    def begins(self, price: Price) -> SafeString | str:
        return when(price.valid_from)

    @admin.display(description="valid to")
    def ends(self, price: Price) -> SafeString | str:
        return when(price.valid_to)

    @admin.display(description="source")
    def whose_word(self, price: Price) -> SafeString | str:
        return shown_source(price.source)
