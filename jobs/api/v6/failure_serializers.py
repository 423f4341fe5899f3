"""What clusters of failures are in the native surface's words, for the OpenAPI schema; written by failure_rows."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobs.api.v6 import failure_examples as examples
from jobs.queries.failures import DAYS, MOST_COUNTED, SHOWN
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.errors import ErrorSerializer
from jobtypes.api.v6.serializers.job_types import JobTypeBriefSerializer
from jobtypes.api.v6.serializers.shapes import MomentField, Row, moment
from jobtypes.models import Category


@extend_schema_field({"type": "integer", "minimum": 0})
class CountField(serializers.IntegerField):
    """A number of things."""


_LATELY: Final = f"Of how many in the last {DAYS} days."


@extend_schema_serializer(examples=[answer("one fault of many jobs", examples.CLUSTER)])
class FailureClusterSerializer(Row):
    id = serializers.IntegerField()
    title = serializers.CharField(help_text="What its failures have in common: # is any number or identifier.")
    category = serializers.ChoiceField(
        choices=Category.choices, allow_null=True, help_text="Of the error it was given, else of the one it has."
    )
    exit_code = serializers.IntegerField(allow_null=True)
    error = ErrorSerializer(allow_null=True, help_text="What its failures ended with.")
    named = ErrorSerializer(allow_null=True, help_text="What staff have named them: the error that they get.")
    named_by = serializers.CharField(allow_null=True)
    named_since = moment("When it was named.")
    first_seen = MomentField()
    last_seen = MomentField()
    total = CountField(help_text="Failures in all, also of jobs that have come to a better end since.")
    last_24_hours = CountField(help_text="Failures of 24 full hours, and of the one that goes on.")
    failed_now = CountField(help_text=f"Jobs that are failed now; {MOST_COUNTED} where there are more.")
    failed_now_is_exact = serializers.BooleanField()
    customers = CountField(help_text=_LATELY)
    job_types = CountField(help_text=_LATELY)


class CustomerFailuresSerializer(Row):
    customer = serializers.CharField()
    failures = CountField()


class JobTypeFailuresSerializer(Row):
    job_type = JobTypeBriefSerializer(allow_null=True, help_text="null: of jobs that have none.")
    failures = CountField()


class DayFailuresSerializer(Row):
    day = serializers.DateField(help_text="Of UTC.")
    failures = CountField()


class SampledJobSerializer(Row):
    id = serializers.IntegerField()


class SampleSerializer(Row):
    job = SampledJobSerializer()
    exe_num = serializers.IntegerField(allow_null=True, help_text="null: it failed without an execution.")
    at = MomentField()
    log = serializers.CharField(help_text="The end of what it wrote, standard output first.")


@extend_schema_serializer(examples=[answer("with whose jobs, and a sample", examples.CLUSTER_DETAIL)])
class FailureClusterDetailSerializer(FailureClusterSerializer):
    of_customers = CustomerFailuresSerializer(many=True, help_text=f"The {SHOWN} with most in the last {DAYS} days.")
    of_job_types = JobTypeFailuresSerializer(many=True, help_text=f"The {SHOWN} with most in the last {DAYS} days.")
    by_day = DayFailuresSerializer(many=True, help_text=f"The last {DAYS} days, the oldest first.")
    sample = SampleSerializer(allow_null=True)


@extend_schema_serializer(examples=[body("a new error", examples.NAME), body("one named before", {"error_id": 7})])
class NameClusterSerializer(Body):
    """A new error, with name, title and category; or the id of one that staff have named before."""

    name = serializers.CharField(required=False, max_length=64, help_text="Lower-case words joined by dashes.")
    title = serializers.CharField(required=False, max_length=128)
    description = serializers.CharField(required=False, allow_blank=True, max_length=4096)
    category = serializers.ChoiceField(choices=Category.choices, required=False, help_text="Whose fault it is.")
    should_be_retried = serializers.BooleanField(
        required=False, help_text="Takes jobs that fail so later back into the queue while they have tries left."
    )
    error_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "error_id" in attrs:
            faults = {name: ["An error that is there has this already."] for name in attrs if name != "error_id"}
        else:
            needed = [name for name in ("name", "title", "category") if name not in attrs]
            faults = {name: ["A new error has one."] for name in needed}
        if faults:
            raise serializers.ValidationError(faults)
        return attrs
