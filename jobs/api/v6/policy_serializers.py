"""What policies are, for the OpenAPI schema and the browsable API's forms; read by jobs.policy, written by rows."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from clusters.models import Source
from clusters.queries import CLOUDS
from controlplane.core.bodies import Body
from jobs.api.v6 import examples
from jobs.policy import CAPACITIES, MOST_PLACES, MOST_SECONDS, MOST_TRIES
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.shapes import Row, moment

_NULL: Final[dict[str, Any]] = {"required": False, "allow_null": True}


@extend_schema_field(
    {
        "anyOf": [
            {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,10})?$"},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9},
            {"type": "null"},
        ]
    }
)
class MoneyField(serializers.JSONField):
    """An amount in USD: text, which keeps every digit, or a number."""


class PolicyPlaceSerializer(Body):
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField(max_length=64, help_text="Not needed of cloud local.", **_NULL)
    capacity = serializers.ChoiceField(
        choices=CAPACITIES, help_text="The kind of its machines; as the place has it if not given.", **_NULL
    )
    wait_seconds = serializers.IntegerField(
        min_value=1,
        max_value=MOST_SECONDS,
        help_text="After so long in line there the job goes on to the next place.",
        **_NULL,
    )


_TRIES: Final[dict[str, Any]] = {"min_value": 1, "max_value": MOST_TRIES, **_NULL}


class CategoryTriesSerializer(Body):
    SYSTEM = serializers.IntegerField(**_TRIES)
    ALGORITHM = serializers.IntegerField(**_TRIES)
    DATA = serializers.IntegerField(**_TRIES)


@extend_schema_serializer(examples=[body("spot machines first", examples.POLICY)])
class PolicySerializer(Body):
    """What a job does after an execution that came to no good end, and where it goes then. Not empty."""

    places = PolicyPlaceSerializer(  # type: ignore[call-arg] # of many
        many=True,
        max_length=MOST_PLACES,
        help_text="In this order; a job goes on when an execution ends with an error of category SYSTEM, when there "
        "is no room, or when it has waited too long. Never because of its data or its program.",
        **_NULL,
    )
    tries = CategoryTriesSerializer(
        help_text="How many executions may end with an error of each category before the job has failed.", **_NULL
    )
    backoff_seconds = serializers.IntegerField(
        min_value=0, max_value=MOST_SECONDS, help_text="The pause before the second try; it doubles.", **_NULL
    )
    max_backoff_seconds = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS, **_NULL)
    max_cost = MoneyField(help_text="What all executions together may cost, in USD.", **_NULL)


class ChosenSerializer(Row):
    waits_for = serializers.ListField(
        child=serializers.CharField(), help_text="Codes of what would have kept the job there; none: it had room."
    )
    rate_per_hour = serializers.CharField(required=False, help_text="USD. Absent: its price was not known.")
    source = serializers.ChoiceField(  # type: ignore[assignment] # a name of Field's own, which serializers may take
        choices=Source.choices, required=False, help_text="Whose word the rate is."
    )
    offer = serializers.CharField(required=False)


class StandingPlaceSerializer(Row):
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    capacity = serializers.ChoiceField(choices=CAPACITIES, allow_null=True)
    wait_seconds = serializers.IntegerField(allow_null=True)
    chosen = ChosenSerializer(allow_null=True, help_text="Why the control plane chose it; null: it was asked for.")


class PolicyAnswerSerializer(Row):
    """A policy as it is kept."""

    places = StandingPlaceSerializer(many=True)
    tries = serializers.DictField(child=serializers.IntegerField(), help_text="By error category.")
    backoff_seconds = serializers.IntegerField(allow_null=True)
    max_backoff_seconds = serializers.IntegerField(allow_null=True)
    max_cost = serializers.CharField(allow_null=True, help_text="USD.")


class StandingSerializer(PolicyAnswerSerializer):
    """A job's policy, and how far it has come with it."""

    rung = serializers.IntegerField(help_text="At which of `places` it is, or goes next, from 0.")
    leaves = moment("When it goes on to the next place if it still waits.")
    affordable_seconds = serializers.IntegerField(
        allow_null=True, help_text="How long its next execution may run for the money that is left."
    )
    why = serializers.CharField(allow_blank=True, help_text="Why it is where it is.")


@extend_schema_serializer(examples=[answer("of a job type", examples.JOB_TYPE_POLICY)])
class JobTypePolicySerializer(PolicyAnswerSerializer):
    set_by = serializers.CharField(allow_null=True)
    since = moment("Since when.", null=False)
