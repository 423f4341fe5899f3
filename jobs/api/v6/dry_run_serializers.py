"""What a dry run answers, for the OpenAPI schema; written by dry_run.py."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from clusters.models import Capacity, Source
from clusters.queries import CLOUDS, CURRENCY
from jobs.api.v6 import examples
from jobs.api.v6.policy_serializers import PolicyAnswerSerializer
from jobs.api.v6.serializers import ReasonSerializer
from jobtypes.api.v6.examples import answer
from jobtypes.api.v6.serializers.shapes import Row


class WhereSerializer(Row):
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()


class OfferNameSerializer(Row):
    name = serializers.CharField(help_text="A type of machine, or the units of which the job takes some.")
    capacity = serializers.ChoiceField(choices=Capacity.choices)


class CostSerializer(Row):
    currency = serializers.ChoiceField(choices=[CURRENCY])
    rate_per_hour = serializers.DecimalField(
        max_digits=20,
        decimal_places=10,
        allow_null=True,
        help_text="Of an hour of such a job; of a MapReduce job, of each task that runs. Null: no price is known.",
    )
    p50 = serializers.DecimalField(
        max_digits=20, decimal_places=10, allow_null=True, help_text="What half of the jobs like it cost at most."
    )
    p90 = serializers.DecimalField(
        max_digits=20,
        decimal_places=10,
        allow_null=True,
        help_text="What nine in ten of them cost at most.",
    )
    jobs = serializers.IntegerField(help_text="How many jobs like it this is from: the last that completed.")
    source = serializers.ChoiceField(  # type: ignore[assignment] # a name of Field's own, which serializers may take
        choices=Source.choices, allow_null=True, help_text="Whose word the rate is."
    )
    is_example = serializers.BooleanField(help_text="The rate is made up: no price was imported or set. No quote.")


class ForecastPolicySerializer(PolicyAnswerSerializer):
    why = serializers.CharField(allow_blank=True, help_text="Why it would be there.")


@extend_schema_serializer(examples=[answer("a job that starts at once", examples.FORECAST)])
class ForecastSerializer(Row):
    place = WhereSerializer(help_text="Where it would run.")
    policy = ForecastPolicySerializer(allow_null=True, help_text="Where it would go from there.")
    vcpus = serializers.FloatField()
    memory_mib = serializers.IntegerField()
    offer = OfferNameSerializer(allow_null=True, help_text="What it would be priced by.")
    waits_for = ReasonSerializer(many=True, help_text="What would keep it from running now; nothing: its turn comes.")
    cost = CostSerializer()
