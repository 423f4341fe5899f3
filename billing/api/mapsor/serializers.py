"""What the report of usage gives, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from clusters.queries import CLOUDS


class MapsorCustomerUsageSerializer(serializers.Serializer[Any]):
    customer = serializers.CharField()
    jobs = serializers.IntegerField(help_text="How many of its jobs ran in the window.")
    run_seconds = serializers.FloatField()
    vcpu_seconds = serializers.FloatField()
    memory_gb_seconds = serializers.FloatField()
    share = serializers.FloatField(help_text="Part of the whole, 0 to 1.")
    cost = serializers.IntegerField(
        required=False, help_text="With a price: this customer's part of it. They add up to the price."
    )


class MapsorUsageSerializer(serializers.Serializer[Any]):
    start_date = serializers.IntegerField(help_text="Epoch milliseconds.")
    end_date = serializers.IntegerField(help_text="Epoch milliseconds.")
    cloud_provider = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    price = serializers.IntegerField(required=False)
    metrics = MapsorCustomerUsageSerializer(many=True)


class MapsorMetricsSerializer(serializers.Serializer[Any]):
    response = MapsorUsageSerializer()
