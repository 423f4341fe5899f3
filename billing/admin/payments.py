"""Payment details and Stripe's events in the admin: to read. Money is looked after at Stripe."""

from __future__ import annotations

from typing import Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from billing.models import MeterEvent, PaymentDetails, StripeEvent
from billing.services.stripe_events import MOST_TRIES
from billing.stripe.payer import ADDRESS
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.keyset_admin import KeysetAdmin

_STATES: Final = {
    "handled": Q(handled_at__isnull=False),
    "waiting": Q(handled_at=None, tries__lt=MOST_TRIES),
    "given up": Q(handled_at=None, tries__gte=MOST_TRIES),
}


@admin.register(PaymentDetails)
class PaymentDetailsAdmin(KeysetAdmin):
    list_display = ("customer", "owner", "stripe_id", "name", "country", "created_at", "updated_at")
    list_select_related = ("customer", "owner")
    search_fields = ("stripe_id",)
    search_help_text = "The customer's id at Stripe"
    fields = (
        "customer",
        "owner",
        "stripe_id",
        "name",
        "email",
        "phone",
        "tax_id",
        *ADDRESS,
        "created_at",
        "updated_at",
    )

    def search(self, rows: QuerySet[PaymentDetails], term: str) -> QuerySet[PaymentDetails]:
        return rows.filter(stripe_id=term)


class StateFilter(ChoiceFilter):
    title = "state"
    parameters = ("state",)
    words = tuple((name, name) for name in _STATES)

    def narrow(self, request: HttpRequest, rows: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
        wanted = Q(pk__in=[])
        for name in self.values["state"]:
            wanted |= _STATES.get(name, Q(pk__in=[]))
        return rows.filter(wanted)


class TypeFilter(TextFilter):
    title = "type, such as customer.updated"
    parameters = ("type",)


@admin.register(StripeEvent)
class StripeEventAdmin(KeysetAdmin):
    """One that was given up is taken up again when it is sent again from Stripe's dashboard."""

    list_display = ("stripe_id", "type", "created_at", "received_at", "handled_at", "tries", "error")
    list_filter = (StateFilter, TypeFilter)
    search_fields = ("stripe_id",)
    search_help_text = "The event's id at Stripe"
    fields = ("stripe_id", "type", "created_at", "received_at", "handled_at", "tries", "next_at", "error", "body")

    def search(self, rows: QuerySet[StripeEvent], term: str) -> QuerySet[StripeEvent]:
        return rows.filter(stripe_id=term)


class SentFilter(ChoiceFilter):
    title = "state"
    parameters = ("sent",)
    words = (("sent", "sent"), ("waiting", "waiting"))

    def narrow(self, request: HttpRequest, rows: QuerySet[MeterEvent]) -> QuerySet[MeterEvent]:
        wanted = self.values["sent"]
        shown = Q(pk__in=[])
        if "sent" in wanted:
            shown |= Q(sent_at__isnull=False)
        if "waiting" in wanted:
            shown |= Q(sent_at=None)
        return rows.filter(shown)


@admin.register(MeterEvent)
class MeterEventAdmin(KeysetAdmin):
    """What Stripe's meter was told, or is about to be."""

    list_display = ("identifier", "customer", "day", "value", "decided_at", "sent_at", "tries", "error")
    list_filter = (SentFilter,)
    list_select_related = ("customer",)
    search_fields = ("identifier",)
    search_help_text = "The whole identifier: usage, the bill's uuid, and the day"
    fields = (
        *("customer", "bill_month", "day", "value", "identifier", "decided_at", "sent_at", "first_try_at", "tries"),
        *("next_at", "error"),
    )

    def search(self, rows: QuerySet[MeterEvent], term: str) -> QuerySet[MeterEvent]:
        return rows.filter(identifier=term)
