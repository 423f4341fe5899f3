"""Offers: the list, an offer's page with its prices, and the button that sets one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import Customer, User
from clusters.admin.prices import SHOWN, prices_then, shown_source
from clusters.locations import LOCATIONS
from clusters.models import FLEET, FLEET_MEASURES, Measure, Offer, Price
from clusters.queries import CLOUDS
from clusters.services import facts_of_offer, set_fleet_price, set_price
from controlplane.core.admin import ServiceForm, facts, table, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.history import Past
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, posted

PRICED_BY: Final = {
    Measure.MACHINE: "the machine, or a share of it",
    Measure.UNIT: "the unit",
    Measure.PEER: "the hour of one connected peer",
    Measure.CONTAINER: "the hour of a container that runs",
}


class CloudFilter(ChoiceFilter):
    title = "cloud"
    parameters = ("cloud",)
    words = tuple((cloud, cloud) for cloud in (*CLOUDS, FLEET))


class RegionFilter(TextFilter):
    title = "region"
    parameters = ("region",)


class PriceForm(ServiceForm):
    amount = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=10, label="USD per hour", help_text="Of the offer, or of its unit."
    )
    valid_from = forms.DateTimeField(required=False, help_text="In UTC, such as 2027-01-31 08:00. Empty: from now on.")
    customer = forms.CharField(
        required=False, max_length=255, help_text="The whole name of the customer whose price it is. Empty: everybody."
    )

    def clean_customer(self) -> Customer | None:
        name = self.cleaned_data["customer"]
        found = Customer.objects.filter(name=name).first() if name else None
        if name and found is None:
            raise forms.ValidationError("There is no such customer.")
        return found


class FleetPriceForm(PriceForm):
    location = forms.ChoiceField(
        choices=[("", "every location"), *((name, place.title) for name, place in LOCATIONS.items())],
        required=False,
        help_text="Where it is valid. A price of a location wins over one of every location.",
    )


@admin.register(Offer)
class OfferAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    list_display = ("id", "name", "cloud", "in_region", "capacity", "measure", "size", "available")
    list_display_links = ("id", "name")
    list_filter = (CloudFilter, RegionFilter)
    fields = ("name",)
    history_of = "offer"

    def configuration(self, offer: Offer) -> dict[str, Any]:
        return facts_of_offer(offer)

    def around(
        self, request: HttpRequest, row: Offer, past: Past, at: int | datetime
    ) -> list[tuple[str, SafeString | str]]:
        return prices_then(request, row, at)

    @admin.display(description="region")
    def in_region(self, offer: Offer) -> str:
        return offer.region or "every region"

    @admin.display(description="size")
    def size(self, offer: Offer) -> str:
        return _size(offer)

    def detail(self, request: HttpRequest, row: Offer) -> Detail:
        about = facts(
            [
                ("Cloud", row.cloud),
                ("Region", row.region or "every region"),
                ("Capacity", row.capacity),
                ("Priced by", PRICED_BY[Measure(row.measure)]),
                ("Size", _size(row)),
                ("Chosen for new jobs", "yes" if row.available and not _is_of_fleet(row) else "no"),
            ]
        )
        return Detail(title=f"Offer {row.name}", badges=(), cards=[("The offer", about)], sections=[_prices(row)])

    def row_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="price",
                label="Set a price",
                title="Set a price of {row}",
                allowed=lambda request, row: bool(request.user.has_perm("clusters.add_price")),
                act=_set_price,
                form=_price_form,
                button="Set",
                warning=lambda request, row: (
                    "It is valid until a later one begins, and ends the one before it. "
                    + ("" if _is_of_fleet(row) else "Jobs that began earlier keep what they cost.")
                ),
            )
        ]


def _is_of_fleet(offer: Offer) -> bool:
    return offer.measure in FLEET_MEASURES


def _price_form(request: HttpRequest, row: Offer) -> PriceForm:
    """Empty; or with what the address says, as where a price that was is to be set again."""
    form = FleetPriceForm if _is_of_fleet(row) and not row.region else PriceForm
    given = {name: request.GET[name] for name in form.base_fields if name in request.GET}
    return form(posted(request), initial=given)


def _size(offer: Offer) -> str:
    parts = [
        f"{offer.vcpus_milli / 1000:g} vCPUs" if offer.vcpus_milli else "",
        f"{offer.memory_mib / 1024:g} GiB" if offer.memory_mib else "",
        f"{offer.gpus} GPUs" if offer.gpus else "",
    ]
    return ", ".join(filter(None, parts))


def _prices(offer: Offer) -> tuple[str, SafeString | str]:
    found = list(offer.prices.select_related("customer").order_by("-valid_from", "-pk")[: SHOWN + 1])
    heading = "Prices" if len(found) <= SHOWN else f"The {SHOWN} latest prices"
    rows = [_row(price) for price in found[:SHOWN]]
    return heading, table(("For", "USD per hour", "From", "To", "Source"), rows) if rows else ""


def _row(price: Price) -> tuple[Any, ...]:
    whose = price.customer or "everybody"
    return whose, f"{price.amount:f}", when(price.valid_from), when(price.valid_to), shown_source(price.source)


def _set_price(request: HttpRequest, row: Offer, wish: dict[str, Any], form: Any) -> str:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    given = {"amount": wish["amount"], "customer": wish["customer"], "valid_from": wish["valid_from"]}
    if location := wish.get("location"):
        price = set_fleet_price(name=row.name, location=location, actor=request.user, **given)
        return f"Set for {price.customer or 'everybody'} at {location}: {price}."
    price = set_price(row, actor=request.user, **given)
    return f"Set for {price.customer or 'everybody'}: {price}."
