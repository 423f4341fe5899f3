"""Fishjam's questions about metrics and logs, and what is answered."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from clusters.telemetry.log_lines import Severity
from clusters.telemetry.promql import MetricLabel, MetricName

LARGEST = 2**53


class ReadableUuid(serializers.CharField):
    """A uuid with or without dashes."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            return UUID(text) if len(text) in (32, 36) else UUID("")
        except ValueError:
            raise serializers.ValidationError("This is a uuid.") from None


class MetricQuestion(serializers.Serializer[Any]):
    """What an instant query asks."""

    metric = serializers.ChoiceField(choices=[each.value for each in MetricName])
    time = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=LARGEST, help_text="Unix seconds; now when absent."
    )
    interval = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LARGEST, help_text="Look-back window in seconds."
    )
    resolution = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=LARGEST,
        help_text="Step inside the look-back window in seconds.",
    )
    scope_name = serializers.ChoiceField(choices=[each.value for each in MetricLabel])
    scope_uuids = serializers.ListField(
        child=ReadableUuid(),
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="Repeat for more; ignored when scope_name is user_email.",
    )
    group_by = serializers.ChoiceField(
        choices=[each.value for each in MetricLabel],
        required=False,
        allow_null=True,
        help_text="Label to aggregate by.",
    )


class RangeQuestion(MetricQuestion):
    """What a range query asks besides."""

    end = serializers.IntegerField(min_value=1, max_value=LARGEST, help_text="Unix seconds.")
    start = serializers.IntegerField(min_value=1, max_value=LARGEST, help_text="Unix seconds.")
    step = serializers.FloatField(max_value=LARGEST, help_text="Seconds.")

    def validate_step(self, step: float) -> float:
        if not step > 0:
            raise serializers.ValidationError("This is more than 0.")
        return step


class LogQuestion(serializers.Serializer[Any]):
    """Which lines are asked for."""

    jellyfish_uuid_hex = serializers.CharField(max_length=255, help_text="With or without dashes.")
    since_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=10**9, help_text="Look back this many seconds from end."
    )
    start = serializers.CharField(required=False, allow_null=True, help_text="ISO-8601 date-time, or Unix seconds.")
    end = serializers.CharField(allow_blank=True, help_text="ISO-8601 date-time, or Unix seconds; empty means now.")
    limit = serializers.IntegerField(default=100, min_value=1, max_value=1000)
    search_phrase = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=1024)
    severity = serializers.ChoiceField(
        choices=[each.value for each in Severity], required=False, allow_null=True, help_text="Least severity."
    )


@extend_schema_field({"type": "array", "items": {"type": ["number", "string"]}, "minItems": 2, "maxItems": 2})
class PairField(serializers.JSONField):
    """Unix seconds and the value as a string."""


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "array", "items": {"type": ["number", "string"]}, "minItems": 2, "maxItems": 2},
    }
)
class PairsField(serializers.JSONField):
    """Pairs of Unix seconds and the value as a string."""


@extend_schema_serializer(component_name="InstantSample")
class InstantSampleSerializer(serializers.Serializer[Any]):
    metric = serializers.DictField(child=serializers.CharField())
    value = PairField(help_text="Unix seconds and the value as a string.")


@extend_schema_serializer(component_name="RangeSeries")
class RangeSeriesSerializer(serializers.Serializer[Any]):
    metric = serializers.DictField(child=serializers.CharField())
    values = PairsField(help_text="Pairs of Unix seconds and the value as a string.")


@extend_schema_serializer(component_name="MetricInstantQueryOut")
class InstantAnswerSerializer(serializers.Serializer[Any]):
    result_type = serializers.ChoiceField(choices=["vector"])
    result = InstantSampleSerializer(many=True)


@extend_schema_serializer(component_name="MetricRangeQueryOut")
class RangeAnswerSerializer(serializers.Serializer[Any]):
    result_type = serializers.ChoiceField(choices=["matrix"])
    result = RangeSeriesSerializer(many=True)


@extend_schema_serializer(component_name="LogEntryOut")
class LogEntrySerializer(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    severity = serializers.ChoiceField(choices=[each.value for each in Severity])
    message = serializers.CharField()
