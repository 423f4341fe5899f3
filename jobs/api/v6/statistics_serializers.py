"""What the statistics of job types give, for the OpenAPI schema; statistics_rows.py writes it."""

from __future__ import annotations

from rest_framework import serializers

from jobs import states
from jobtypes.api.v6.serializers.errors import ErrorSerializer
from jobtypes.api.v6.serializers.job_types import JobTypeBriefSerializer
from jobtypes.api.v6.serializers.shapes import MomentField, Row
from jobtypes.models import Category


class JobTypeCountSerializer(Row):
    status = serializers.ChoiceField(choices=states.SHOWN_STATES)
    count = serializers.IntegerField()
    most_recent = MomentField(help_text="When the last of them came to this status.")
    category = serializers.ChoiceField(
        choices=Category.choices, allow_null=True, help_text="Of the jobs' error; null: without an error."
    )


class JobTypeStatusSerializer(Row):
    job_type = JobTypeBriefSerializer()
    job_counts = JobTypeCountSerializer(many=True)


class JobTypePendingSerializer(Row):
    job_type = JobTypeBriefSerializer()
    count = serializers.IntegerField()
    longest_pending = MomentField(help_text="Since when the oldest of them has been pending.")


class JobTypeRunningSerializer(Row):
    job_type = JobTypeBriefSerializer()
    count = serializers.IntegerField()
    longest_running = MomentField(help_text="Since when the oldest of them has been running.")


class JobTypeSystemFailureSerializer(Row):
    job_type = JobTypeBriefSerializer()
    error = ErrorSerializer()
    count = serializers.IntegerField()
    first_error = MomentField()
    last_error = MomentField()
