"""What MapReduce jobs look like in POST /v6/jobs/ and in what it answers, for the OpenAPI schema."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from clusters.queries import CLOUDS
from controlplane.core.bodies import Body
from jobs.api.fields import MAX_MEMORY_GB, MAX_TEXT, MAX_TIMEOUT, MAX_VCPUS
from jobs.api.v6 import examples
from jobs.api.v6.decode import MAX_TRIES
from jobs.api.v6.mapreduce_decode import MAX_ARGUMENT, MAX_ARGUMENTS, MAX_PARALLEL, MAX_SECRET
from jobs.mapreduce.locations import LONGEST
from jobs.models import MAX_PRIORITY, Protocol, Shape
from jobs.services.artifacts import NAME_LENGTH
from jobs.services.mapreduce import MAX_INPUTS, MAX_REDUCERS
from jobtypes.api.v6.examples import body
from jobtypes.api.v6.serializers.shapes import ObjectField, Row


class ProgramWishSerializer(Body):
    name = serializers.CharField(max_length=NAME_LENGTH, help_text="Of the artifact.")
    version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="The newest if not given."
    )
    arguments = serializers.ListField(
        child=serializers.CharField(allow_blank=True, max_length=MAX_ARGUMENT, trim_whitespace=False),
        max_length=MAX_ARGUMENTS,
        required=False,
        allow_null=True,
        help_text="Given to it before all others.",
    )
    customer = serializers.CharField(
        required=False, allow_null=True, max_length=MAX_TEXT, help_text="Whose artifact, if staff mean a customer's."
    )


class StoreCredentialsSerializer(Body):
    username = serializers.CharField(max_length=MAX_SECRET, help_text="Access key id.")
    password = serializers.CharField(max_length=MAX_SECRET, write_only=True, help_text="Secret key; never shown.")


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": LONGEST},
            {"type": "array", "minItems": 1, "maxItems": MAX_INPUTS, "items": {"type": "string"}},
        ]
    }
)
class LocationsField(serializers.JSONField):
    """One location, or several."""


class MapReduceWishSerializer(Body):
    mapper = ProgramWishSerializer()
    reducer = ProgramWishSerializer()
    combiner = ProgramWishSerializer(
        required=False, allow_null=True, help_text="Run over parts of a key's values. Streaming programs only."
    )
    protocol = serializers.ChoiceField(
        choices=Protocol.choices, required=False, allow_null=True, help_text="The artifacts' own if not given."
    )
    input = LocationsField(
        help_text="`http(s)://endpoint/bucket/key`, `s3://bucket/key` or `file:///path`; one that ends with / is "
        "everything below it, one that ends with .gz is uncompressed."
    )
    output = serializers.CharField(
        max_length=LONGEST,
        help_text="The same, without a key: a bucket and a prefix, or a folder. Objects are `<job's uuid>/<n>.tsv`, or "
        "`.json` of the protocol apollo.",
    )
    reducers = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_REDUCERS)
    split_bytes = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=2**53, help_text="Of a map task; else SPLIT_SIZE."
    )
    max_parallel = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MAX_PARALLEL, help_text="Tasks at once, at most."
    )
    input_credentials = StoreCredentialsSerializer(
        required=False, allow_null=True, help_text="Kept encrypted until the job ends, then erased."
    )
    output_credentials = StoreCredentialsSerializer(required=False, allow_null=True, help_text="The same.")


@extend_schema_serializer(examples=[body("word count", examples.NEW_MAPREDUCE_JOB)])
class NewMapReduceJobSerializer(Body):
    """A MapReduce job as asked for: vcpus, memory_mib, timeout_seconds and max_tries are each task's."""

    shape = serializers.ChoiceField(choices=[Shape.MAPREDUCE.value], required=False, allow_null=True)
    mapreduce = MapReduceWishSerializer()
    customer = serializers.CharField(required=False, allow_null=True, max_length=MAX_TEXT)
    classification = serializers.CharField(required=False, allow_null=True, max_length=MAX_TEXT)
    cloud = serializers.ChoiceField(choices=CLOUDS, required=False, allow_null=True, help_text="local if not given.")
    region = serializers.CharField(
        required=False, allow_null=True, max_length=64, help_text="Needed where cloud is not local."
    )
    tags = ObjectField(required=False, allow_null=True)
    vcpus = serializers.FloatField(required=False, allow_null=True, min_value=0.001, max_value=MAX_VCPUS)
    memory_mib = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_MEMORY_GB * 1024)
    priority = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=MAX_PRIORITY)
    queue = serializers.CharField(required=False, allow_null=True, max_length=64)
    timeout_seconds = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_TIMEOUT)
    max_tries = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_TRIES)


class ProgramSerializer(Row):
    name = serializers.CharField()
    version = serializers.IntegerField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    arguments = serializers.ListField(child=serializers.CharField())


class StageSerializer(Row):
    tasks = serializers.IntegerField(allow_null=True, help_text="How many there will be; null until that is known.")
    made = serializers.IntegerField(help_text="They are made as they are needed.")
    completed = serializers.IntegerField()
    states = serializers.DictField(child=serializers.IntegerField(), help_text="How many tasks are in each state.")
    bytes_in = serializers.IntegerField(help_text="This and the rest: of completed tasks.")
    records_in = serializers.IntegerField(help_text="Lines of splits, pairs of reduce tasks.")
    records_out = serializers.IntegerField()
    bytes_out = serializers.IntegerField()


class MapReduceSerializer(Row):
    mapper = ProgramSerializer()
    reducer = ProgramSerializer()
    combiner = ProgramSerializer(allow_null=True)
    protocol = serializers.ChoiceField(choices=Protocol.choices)
    input = serializers.ListField(child=serializers.CharField())
    output = serializers.CharField()
    reducers = serializers.IntegerField()
    split_bytes = serializers.IntegerField()
    max_parallel = serializers.IntegerField(allow_null=True)
    has_credentials = serializers.BooleanField(help_text="Whether any are kept for it; at its end they are erased.")
    input_bytes = serializers.IntegerField(allow_null=True)
    objects = serializers.IntegerField(allow_null=True, help_text="Found at its input.")
    failure = serializers.CharField(help_text="Why it failed, for people.")
    map = StageSerializer()
    reduce = StageSerializer()
    outputs = serializers.ListField(child=serializers.CharField(), help_text="Objects of a completed job.")
