"""Prices: the list, and whose word each is. They are set on the page of their offer."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import Customer
from clusters.models import Price, Source
from controlplane.core.admin import badge, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.keyset_admin import KeysetAdmin


def shown_source(source: str) -> SafeString | str:
    """Whose word a price is; an example is marked, so that nobody takes it for one."""
    return badge("EXAMPLE, no quote", "waiting") if source == Source.EXAMPLE else Source(source).label


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
