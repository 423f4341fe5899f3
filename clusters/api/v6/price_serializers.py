"""What offers and prices take and show."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from clusters.models import Capacity, Measure, Offer, Source
from clusters.queries import CURRENCY
from controlplane.core.bodies import AmountField, Body


class OfferSerializer(serializers.ModelSerializer[Offer]):
    class Meta:
        model = Offer
        fields = (
            *("id", "cloud", "region", "name", "capacity", "measure", "vcpus_milli", "memory_mib", "gpus"),
            "available",
        )
        read_only_fields = fields


class OfferOfSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    cloud = serializers.CharField()
    region = serializers.CharField(allow_blank=True, help_text="Empty: every one.")
    name = serializers.CharField()
    capacity = serializers.ChoiceField(choices=Capacity.choices)
    measure = serializers.ChoiceField(choices=Measure.choices)


class PriceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    offer = OfferOfSerializer()
    customer = serializers.CharField(allow_null=True, help_text="Null: everybody's.")
    amount = serializers.CharField(help_text="What an hour costs, in USD, as decimal text.")
    currency = serializers.ChoiceField(choices=[CURRENCY])
    valid_from = serializers.DateTimeField()
    valid_to = serializers.DateTimeField(allow_null=True, help_text="Null: for good.")
    source = serializers.ChoiceField(choices=Source.choices)  # type: ignore[assignment] # a name of the wire
    imported = serializers.DateTimeField()

    def to_representation(self, instance: Any) -> Any:
        return instance


class PricedOfferSerializer(Body):
    cloud = serializers.CharField(max_length=16, help_text="`fleet`: of long-running containers.")
    region = serializers.CharField(
        max_length=64, required=False, allow_blank=True, help_text="Of the fleet, a location; empty: every one."
    )
    name = serializers.CharField(max_length=64, help_text="Of the fleet, `peer` or a machine type.")
    capacity = serializers.ChoiceField(
        choices=Capacity.choices, required=False, help_text="Needed where there is more than one of that name."
    )


class NewPriceSerializer(Body):
    offer_id = serializers.IntegerField(
        min_value=1, max_value=2**53, required=False, help_text="The offer's id; or `offer` says which."
    )
    offer = PricedOfferSerializer(required=False)
    amount = AmountField(decimals=10, help_text="What an hour costs, in USD.")
    customer = serializers.CharField(
        max_length=255, required=False, allow_null=True, help_text="Its name; without one, it is everybody's price."
    )
    valid_from = serializers.DateTimeField(required=False, help_text="Now if not given.")
