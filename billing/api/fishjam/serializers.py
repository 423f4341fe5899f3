"""What the Fishjam operations on payments take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from billing.services.payments import MOST
from billing.stripe.payer import ADDRESS, Payer
from controlplane.core.bodies import OpenBody

_CUSTOMER = ("name", "email", "phone", "tax_id")


def _needed(name: str) -> serializers.CharField:
    return serializers.CharField(max_length=MOST[name], trim_whitespace=False)


def _more(name: str) -> serializers.CharField:
    return serializers.CharField(
        max_length=MOST[name],
        trim_whitespace=False,
        required=False,
        allow_null=True,
        allow_blank=True,
    )


@extend_schema_serializer(component_name="AddressIn")
class AddressSerializer(OpenBody):
    line1 = _needed("line1")
    line2 = _more("line2")
    city = _needed("city")
    state = _more("state")
    postal_code = _more("postal_code")
    country = serializers.RegexField("^[A-Z]{2}$", help_text="ISO 3166-1 alpha-2.")


@extend_schema_serializer(component_name="CustomerDataIn")
class CustomerDataSerializer(OpenBody):
    name = _needed("name")
    email = serializers.EmailField(max_length=MOST["email"], required=False, help_text="Where bills are sent.")
    phone = _more("phone")
    tax_id = _more("tax_id")


@extend_schema_serializer(component_name="PaymentDetailsIn")
class PaymentDetailsSerializer(OpenBody):
    address = AddressSerializer()
    customer = CustomerDataSerializer()


@extend_schema_serializer(component_name="CustomerOut")
class PayerSerializer(serializers.Serializer[Any]):
    address = AddressSerializer(allow_null=True)
    customer = CustomerDataSerializer(allow_null=True)


def payer_of(given: Mapping[str, Mapping[str, str | None]]) -> Payer:
    """What a body says of who pays."""
    return Payer(**{name: text or None for name, text in {**given["address"], **given["customer"]}.items()})


def payer_row(payer: Payer) -> dict[str, Any]:
    """As Fishjam's clients know it. What was written on Stripe's own pages may lack what is needed here."""
    address = {name: getattr(payer, name) for name in ADDRESS}
    customer = {name: getattr(payer, name) for name in _CUSTOMER}
    if customer["email"] is None:
        del customer["email"]
    country = address["country"] or ""
    is_address = len(country) == 2 and country.isascii() and country.isupper()
    return {
        "address": {**address, "line1": payer.line1 or "", "city": payer.city or ""} if is_address else None,
        "customer": {**customer, "name": payer.name or ""} if any(customer.values()) else None,
    }
