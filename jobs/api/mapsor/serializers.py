"""What the Mapsor job operations take and give, for the OpenAPI schema. decode.py reads the hot path's body."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clusters.queries import CLOUDS

STATUSES = ("REJECTED", "QUEUED", "RUNNING", "FAILED", "SUCCEEDED", "CANCELLING", "CANCELLED")


@extend_schema_field({"type": "number", "format": "float", "exclusiveMinimum": 0})
class GigabytesField(serializers.FloatField):
    """Memory in GB, above 0."""


class MapsorResourcesSerializer(serializers.Serializer[Any]):
    vcpus = serializers.IntegerField(min_value=1, required=False, help_text="Virtual CPUs.")
    memory = GigabytesField(required=False, help_text="Memory in GB.")


class MapsorSubmitSerializer(serializers.Serializer[Any]):
    customer = serializers.CharField(min_length=1, help_text="Customer the job is run for.")
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField(min_length=1, help_text="Cloud region.")
    id = serializers.CharField(min_length=1, help_text="The submitter's own classification of the job; not unique.")
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True), required=False, help_text="Environment variables."
    )
    secret_env = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Names in env whose values nobody gets to see."
    )
    tags = serializers.DictField(required=False, help_text="Free-form tags.")
    resources = MapsorResourcesSerializer(required=False)
    image = serializers.CharField(required=False, help_text="Container image.")
    command = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        help_text="Arguments for the container; on local, the command.",
    )
    ami = serializers.CharField(required=False, help_text="Machine image, for an instance job.")
    user_data = serializers.CharField(required=False, help_text="Boot data, for an instance job.")
    priority = serializers.ChoiceField(choices=("HIGH", "LOW"), required=False)
    timeout = serializers.IntegerField(min_value=1, required=False, help_text="Run limit in seconds.")
    queue = serializers.CharField(required=False, help_text="Batch queue, for a container job.")


class MapsorNewJobSerializer(serializers.Serializer[Any]):
    job_id = serializers.CharField(help_text="Job id, a UUID.")


class MapsorJobStatusSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=STATUSES)
    reason = serializers.CharField(required=False, help_text="Why it waits, or why it ended so; a stable code.")


class MapsorTextSerializer(serializers.Serializer[Any]):
    response = serializers.CharField()


class MapsorInstanceInfoSerializer(serializers.Serializer[Any]):
    job_id = serializers.CharField()
    publish_key = serializers.CharField(help_text="PubNub publish key.")
    subscribe_key = serializers.CharField(help_text="PubNub subscribe key.")


class MapsorJobSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="Job id.")
    classification_id = serializers.CharField(help_text="The submitter's id.")
    customer = serializers.CharField()
    cloud_provider = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    resources = MapsorResourcesSerializer()
    image = serializers.CharField(allow_null=True)
    command = serializers.ListField(child=serializers.CharField())
    ami = serializers.CharField(allow_null=True, required=False)
    queue = serializers.CharField(allow_null=True, required=False)
    env = serializers.DictField(child=serializers.CharField())
    tags = serializers.DictField()
    priority = serializers.ChoiceField(choices=("HIGH", "LOW"), allow_null=True)
    status = serializers.ChoiceField(choices=STATUSES)
    timeout = serializers.IntegerField(allow_null=True, required=False)
    retry_of = serializers.CharField(allow_null=True, required=False, help_text="Job this one repeats.")
    submitted_at = serializers.IntegerField(help_text="Epoch milliseconds.")
    started_at = serializers.IntegerField(allow_null=True, help_text="Epoch milliseconds.")
    finished_at = serializers.IntegerField(allow_null=True, help_text="Epoch milliseconds.")


class MapsorJobListSerializer(serializers.Serializer[Any]):
    response = MapsorJobSerializer(many=True)
