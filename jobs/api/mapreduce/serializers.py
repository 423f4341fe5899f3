"""What the MapReduce operations give, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobs.services.mapreduce import MAX_REDUCERS


@extend_schema_serializer(component_name="MapReduceArtifact")
class ArtifactSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="File name; the key.")
    type = serializers.CharField(help_text="executable for every upload.")
    size = serializers.IntegerField(min_value=0, help_text="Bytes.")
    hash = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="SHA-256 of the content, lower-case hex.")


@extend_schema_serializer(component_name="MapReduceCredentials")
class CredentialsSerializer(Body):
    username = serializers.CharField(allow_blank=True, help_text="Access key id.")
    password = serializers.CharField(write_only=True, allow_blank=True, help_text="Secret key; never returned.")


@extend_schema_serializer(component_name="MapReduceJobRequest")
class JobRequestSerializer(Body):
    nReducers = serializers.IntegerField(min_value=1, help_text=f"Reduce tasks and partitions; {MAX_REDUCERS} at most.")
    inputPath = serializers.CharField(
        allow_blank=True, help_text="http(s)://endpoint/bucket/object, s3://bucket/object, file:///path."
    )
    inputType = serializers.ChoiceField(choices=["file/txt"])
    outputPath = serializers.CharField(
        allow_blank=True, help_text="Endpoint of the output store; its scheme wins over useSSL."
    )
    useSSL = serializers.BooleanField(required=False, default=False, help_text="If outputPath has no scheme.")
    mapperName = serializers.CharField(allow_blank=True, help_text="Artifact used for map tasks.")
    reducerName = serializers.CharField(allow_blank=True, help_text="Artifact used for reduce tasks.")
    inputStorageCredentials = CredentialsSerializer(required=False)
    outputStorageCredentials = CredentialsSerializer(required=False)
    splitSize = serializers.IntegerField(min_value=1, required=False, help_text="Bytes per map task; else SPLIT_SIZE.")


@extend_schema_serializer(component_name="MapReduceInputData")
class InputDataSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    path = serializers.CharField()
    type = serializers.CharField()
    splitStart = serializers.IntegerField(min_value=0, help_text="First byte.")
    splitEnd = serializers.IntegerField(min_value=0, help_text="Byte after the last; 0 until the size is known.")


@extend_schema_serializer(component_name="MapReduceOutputLocation")
class OutputLocationSerializer(serializers.Serializer[Any]):
    location = serializers.CharField()
    useSSL = serializers.BooleanField()


@extend_schema_serializer(component_name="MapReduceJob")
class JobSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="A UUID.")
    nReducers = serializers.IntegerField()
    outputLocation = OutputLocationSerializer()
    inputData = InputDataSerializer()
    startTime = serializers.IntegerField(help_text="Epoch milliseconds.")
    endTime = serializers.IntegerField(required=False, help_text="Epoch milliseconds; absent until the job ends.")
    status = serializers.ChoiceField(choices=["scheduled", "running", "completed", "failed", "stopped"])
    error = serializers.CharField(required=False, help_text="Why the job failed.")


@extend_schema_serializer(component_name="MapReduceTask")
class TaskSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="{job id}-m-{n} or {job id}-r-{n}.")
    type = serializers.ChoiceField(choices=["mapper", "reducer"])
    status = serializers.ChoiceField(choices=["scheduled", "idle", "in-progress", "completed", "failed", "stopped"])
    program = ArtifactSerializer()
    inputData = InputDataSerializer(required=False)
    podName = serializers.CharField(help_text="Name of the worker; empty before placement.")
    startTime = serializers.IntegerField(help_text="Epoch milliseconds.")
    endTime = serializers.IntegerField(required=False, help_text="Epoch milliseconds.")
