"""What the native resources of jobs take and give, for the OpenAPI schema and the browsable API's forms.

What goes out is written by rows.py, what comes in for POST /v6/jobs/ is read by decode.py, as both are
hot; a test holds them to what is declared here.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from clusters.models import Source
from clusters.queries import CLOUDS, CURRENCY
from controlplane.core.bodies import Body
from jobs import states
from jobs.api.fields import MAX_IMAGE, MAX_MEMORY_GB, MAX_TEXT, MAX_TIMEOUT, MAX_USER_DATA, MAX_VCPUS
from jobs.api.v6 import examples
from jobs.api.v6.decode import MAX_TRIES
from jobs.api.v6.mapreduce_serializers import MapReduceSerializer
from jobs.api.v6.policy_serializers import PolicySerializer, StandingSerializer
from jobs.models import MAX_PRIORITY, Kind, RunsFor, Scope, Shape
from jobs.models.engine import CAPPED_SCOPES
from jobs.policy import CAPACITIES
from jobs.services import ANYWHERE
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.errors import ErrorSerializer
from jobtypes.api.v6.serializers.job_types import JobTypeBriefSerializer
from jobtypes.api.v6.serializers.shapes import MomentField, ObjectField, Row, moment


@extend_schema_field({"type": "null"})
class AbsentField(serializers.JSONField):
    """Scale's, for what no job here has: null."""


_SCALAR = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]


@extend_schema_field({"anyOf": [*_SCALAR, {"type": "array", "items": {"anyOf": _SCALAR}}, {"type": "null"}]})
class OneOrMoreField(serializers.JSONField):
    """The value of a filter, or several."""


# --- Jobs ----------------------------------------------------------------------------------------


class NodeSerializer(Row):
    hostname = serializers.CharField()


class JobReferenceSerializer(Row):
    id = serializers.IntegerField()


@extend_schema_serializer(examples=[answer("one that has ended", examples.EXECUTION)])
class ExecutionSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    job = JobReferenceSerializer()
    exe_num = serializers.IntegerField(help_text="1 for the first try.")
    status = serializers.ChoiceField(choices=states.SHOWN_EXECUTION_STATES)
    state = serializers.ChoiceField(choices=states.EXECUTION_STATES, help_text="The finer one.")
    node = NodeSerializer(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True, help_text="128 + n when signal n ended it.")
    detail = serializers.CharField(allow_blank=True, help_text="The provider's own words.")
    capacity = serializers.ChoiceField(choices=CAPACITIES, allow_null=True, help_text="The kind of machine asked for.")
    error = ErrorSerializer(allow_null=True)
    logs_kept = serializers.BooleanField(help_text="False once its output was deleted, its days being over.")
    job_type = JobTypeBriefSerializer(allow_null=True, help_text="Of a Seed job.")
    timeout = serializers.IntegerField(allow_null=True, help_text="Seconds.")
    input_file_size = serializers.FloatField(allow_null=True, help_text="Of all its input files, in MiB.")
    cluster_id = serializers.CharField(help_text="Its name at the provider.")
    created = moment("When it was handed out.", null=False)
    started = moment("When it started.")
    ended = moment("When it ended.")


@extend_schema_serializer(examples=[answer("a job that has ended", examples.JOB)])
class JobSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    shape = serializers.ChoiceField(choices=Shape.choices)
    status = serializers.ChoiceField(choices=states.SHOWN_STATES)
    state = serializers.ChoiceField(choices=states.JOB_STATES, help_text="The finer one.")
    reason = serializers.CharField(allow_blank=True, help_text="Code of why it waits, or ended as it did.")
    customer = serializers.CharField()
    owner = serializers.CharField()
    classification = serializers.CharField()
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    capacity = serializers.ChoiceField(choices=CAPACITIES, allow_null=True, help_text="Null: as the place has it.")
    image = serializers.CharField(allow_blank=True)
    machine_image = serializers.CharField(allow_blank=True, help_text="Of an instance job.")
    command = serializers.ListField(child=serializers.CharField(allow_blank=True))
    tags = ObjectField()
    vcpus = serializers.FloatField()
    memory_mib = serializers.IntegerField()
    priority = serializers.IntegerField(help_text="Smaller runs first.")
    queue = serializers.CharField()
    on_hold = serializers.BooleanField(help_text="Held by itself, until it is released.")
    timeout_seconds = serializers.IntegerField(allow_null=True)
    max_tries = serializers.IntegerField(help_text="Executions it may have in all.")
    num_exes = serializers.IntegerField(help_text="Executions it has had.")
    error = ErrorSerializer(allow_null=True)
    retry_of = serializers.IntegerField(allow_null=True, help_text="Id of the job that this one was made from.")
    created = moment("When it was submitted.", null=False)
    queued = moment("When it was queued last.")
    started = moment("When its first execution since then started.")
    ended = moment("When it ended.")
    last_status_change = moment("When its status changed last.", null=False)
    last_modified = moment("When anything of it changed last.", null=False)
    job_type = JobTypeBriefSerializer(allow_null=True, help_text="Of a Seed job: its job type as it is now.")
    job_type_rev = ObjectField(allow_null=True, help_text="The revision that it runs: its id, job_type and number.")
    event = AbsentField()
    ingest_event = AbsentField()
    parent = JobReferenceSerializer(allow_null=True, help_text="The MapReduce job whose task it is.")
    part = serializers.IntegerField(
        allow_null=True, help_text="Which task of its stage, from 0; the stage is the shape."
    )
    recipe = JobReferenceSerializer(allow_null=True, help_text="The recipe that it is part of.")
    batch = AbsentField()
    superseded_job = JobReferenceSerializer(allow_null=True, help_text="The job whose place it took.")
    node = AbsentField()
    superseded = moment("When another job took its place.")
    input_file_size = serializers.FloatField(allow_null=True, help_text="Of all its input files, in MiB.")
    source_started = AbsentField()
    source_ended = AbsentField()
    source_sensor_class = AbsentField()
    source_sensor = AbsentField()
    source_collection = AbsentField()
    source_task = AbsentField()
    is_superseded = serializers.BooleanField()
    input_files = ObjectField(help_text="The names of a Seed job's input files, by input.")


class ResourceValuesSerializer(Row):
    cpus = serializers.FloatField()
    mem = serializers.IntegerField(help_text="MiB.")
    disk = serializers.IntegerField(help_text="MiB.")
    gpus = serializers.IntegerField()


class ResourcesSerializer(Row):
    resources = ResourceValuesSerializer()


@extend_schema_serializer(examples=[answer("a job that has ended", examples.JOB_DETAIL)])
class JobDetailSerializer(JobSerializer):
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        help_text="Values to the owner and to operators; ***** to others and for the names in secret_env.",
    )
    secret_env = serializers.ListField(child=serializers.CharField())
    execution = ExecutionSerializer(allow_null=True, help_text="The last one.")
    resources = ResourcesSerializer()
    input = ObjectField(allow_null=True, help_text="Of a Seed job: `files` and `json`, each by the input's name.")
    output = ObjectField(allow_null=True, help_text="Of a Seed job that has completed: as `input`.")
    configuration = ObjectField(allow_null=True, help_text="What a Seed job runs by, without secrets.")
    superseded_by_job = JobReferenceSerializer(allow_null=True)
    mapreduce = MapReduceSerializer(allow_null=True, help_text="What a MapReduce job does, and how far it is.")
    policy = StandingSerializer(allow_null=True)


class ExecutionPriceSerializer(Row):
    currency = serializers.ChoiceField(choices=[CURRENCY])
    rate_per_hour = serializers.DecimalField(
        max_digits=20, decimal_places=10, allow_null=True, help_text="Of an hour when it began. Null: none was known."
    )
    amount = serializers.DecimalField(
        max_digits=20, decimal_places=10, allow_null=True, help_text="Of the time that it ran. Null as the rate."
    )
    offer = serializers.CharField(allow_null=True, help_text="What it was priced by.")
    source = serializers.ChoiceField(  # type: ignore[assignment] # a name of Field's own, which serializers may take
        choices=Source.choices, allow_null=True, help_text="Whose word the rate is."
    )


@extend_schema_serializer(examples=[answer("one that has ended", examples.EXECUTION_DETAIL)])
class ExecutionDetailSerializer(ExecutionSerializer):
    resources = ResourcesSerializer()
    configuration = ObjectField(allow_null=True, help_text="What a Seed job runs by; secret settings are *****.")
    output = ObjectField(allow_null=True, help_text="Of a Seed job's execution that has completed.")
    price = ExecutionPriceSerializer(allow_null=True, help_text="What it cost; null until shortly after its end.")


class JobTypeNameSerializer(Body):
    name = serializers.CharField(max_length=MAX_TEXT)
    version = serializers.CharField(max_length=MAX_TEXT)


@extend_schema_serializer(examples=[body("a job of a job type", examples.NEW_SEED_JOB)])
class NewSeedJobSerializer(Body):
    """A job of a job type as asked for: the job type says all that is left out."""

    shape = serializers.ChoiceField(choices=[Shape.SEED.value], required=False, allow_null=True)
    job_type_id = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=2**53, help_text="The job type's id, or:"
    )
    job_type = JobTypeNameSerializer(required=False, allow_null=True, help_text="Its name and version.")
    input = ObjectField(
        required=False, allow_null=True, help_text='`{"files": {INPUT: [file id]}, "json": {INPUT: value}}`'
    )
    configuration = ObjectField(
        required=False, allow_null=True, help_text="For this job alone; the members left out are its job type's."
    )
    customer = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="Who pays; DEFAULT_CUSTOMER if staff say nothing.",
    )
    classification = serializers.CharField(
        required=False, allow_null=True, max_length=MAX_TEXT, help_text="The job type's name if not given."
    )
    cloud = serializers.ChoiceField(choices=["local"], required=False, allow_null=True)
    region = serializers.CharField(required=False, allow_null=True, max_length=64)
    tags = ObjectField(required=False, allow_null=True)
    priority = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=MAX_PRIORITY, help_text="Smaller runs first."
    )
    queue = serializers.CharField(required=False, allow_null=True, max_length=64)
    max_tries = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_TRIES)
    policy = PolicySerializer(required=False, allow_null=True, help_text="Its job type's if not given.")


class NewJobSerializer(Body):
    """A job as asked for. What may be null is then as if it were not given."""

    shape = serializers.ChoiceField(
        choices=[Shape.CONTAINER.value, Shape.INSTANCE.value], required=False, allow_null=True
    )
    customer = serializers.CharField(
        required=False, allow_null=True, max_length=MAX_TEXT, help_text="Who pays; a customer's user may leave it out."
    )
    classification = serializers.CharField(max_length=MAX_TEXT, help_text="Your own name for this kind of job.")
    cloud = serializers.ChoiceField(
        choices=[*CLOUDS, ANYWHERE],
        required=False,
        allow_null=True,
        help_text="local if not given; any: where there is room, and then where it costs least.",
    )
    region = serializers.CharField(required=False, allow_null=True, max_length=64)
    image = serializers.CharField(required=False, allow_null=True, max_length=MAX_IMAGE)
    command = serializers.ListField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False, allow_null=True
    )
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False, allow_null=True
    )
    secret_env = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        allow_null=True,
        help_text="Names in env whose values nobody gets to see.",
    )
    tags = ObjectField(required=False, allow_null=True)
    vcpus = serializers.FloatField(required=False, allow_null=True, min_value=0.001, max_value=MAX_VCPUS)
    memory_mib = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_MEMORY_GB * 1024)
    priority = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_PRIORITY,
        help_text="Smaller runs first; 100 if not given.",
    )
    queue = serializers.CharField(required=False, allow_null=True, max_length=64)
    machine_image = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="Of an instance job, for an image.",
    )
    user_data = serializers.CharField(
        required=False,
        allow_null=True,
        trim_whitespace=False,
        max_length=MAX_USER_DATA,
        help_text="What an instance job boots with: a script, or cloud-init's. Nobody gets to see it.",
    )
    timeout_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MAX_TIMEOUT, help_text="Of one execution."
    )
    max_tries = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_TRIES)
    capacity = serializers.ChoiceField(
        choices=CAPACITIES,
        required=False,
        allow_null=True,
        help_text="The kind of machine, where a cloud has several; as the place has it if not given.",
    )
    policy = PolicySerializer(required=False, allow_null=True, help_text="Its `places` stand for cloud and region.")


class SubmittedSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()


class JobChangeSerializer(Body):
    priority = serializers.IntegerField(min_value=0, max_value=MAX_PRIORITY, help_text="Smaller runs first.")


class RequeueSerializer(Body):
    priority = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=MAX_PRIORITY)


class HintSerializer(Body):
    hint = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=255, help_text="Why, and what frees it."
    )


class ReasonSerializer(Row):
    code = serializers.CharField()
    hint = serializers.CharField(help_text="What would free it.")
    since = moment("Since when.")
    value = serializers.CharField(allow_null=True, help_text="How it is.")
    limit = serializers.CharField(allow_null=True, help_text="How it may be at most.")
    set_by = serializers.CharField(allow_null=True, help_text="Who set it.")


@extend_schema_serializer(examples=[answer("a job of a customer who is held", examples.EXPLANATION)])
class ExplanationSerializer(Row):
    status = serializers.ChoiceField(choices=states.SHOWN_STATES)
    state = serializers.ChoiceField(choices=states.JOB_STATES)
    reasons = ReasonSerializer(many=True, help_text="Everything that keeps it from running now.")
    policy = StandingSerializer(allow_null=True, help_text="Where it goes, and why it is where it is.")


class LogPageSerializer(Row):
    execution = serializers.IntegerField(help_text="Number of the execution.")
    stream = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    after = serializers.CharField(help_text="Where the next page goes on.")
    ended = serializers.BooleanField(help_text="Nothing follows.")


# --- Bulk work -----------------------------------------------------------------------------------


@extend_schema_serializer(examples=[answer("on its way", examples.OPERATION)])
class OperationSerializer(Row):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    status = serializers.ChoiceField(choices=states.OPERATION_STATES)
    selection = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    parameters = ObjectField()
    total = serializers.IntegerField(allow_null=True, help_text="Jobs that matched at its start; null before.")
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    created_by = serializers.CharField()
    created = moment("When it was asked for.", null=False)
    started = moment("When it started.")
    ended = moment("When it ended.")


class OperationFailureSerializer(Row):
    id = serializers.IntegerField()
    job = serializers.IntegerField(help_text="Id of the job.")
    code = serializers.CharField()
    message = serializers.CharField()


# --- Holds, quotas, the scheduler ------------------------------------------------------------------


class TargetSerializer(Body):
    scope = serializers.ChoiceField(choices=Scope.choices)
    cloud = serializers.ChoiceField(choices=CLOUDS, required=False, allow_null=True, help_text="Of place and queue.")
    region = serializers.CharField(required=False, allow_null=True, max_length=64, help_text="Of place and queue.")
    customer = serializers.CharField(required=False, allow_null=True, max_length=255)
    owner = serializers.CharField(required=False, allow_null=True, max_length=150, help_text="A user's name.")
    queue = serializers.CharField(required=False, allow_null=True, max_length=64)
    job_type = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=2**53, help_text="The id of a version of a job type."
    )


class SetSerializer(Body):
    hint = serializers.CharField(required=False, allow_blank=True, max_length=255, help_text="Why, and what frees it.")
    set_by = serializers.CharField(read_only=True, allow_null=True)
    since = MomentField(read_only=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "hold a customer",
            value={"scope": "customer", "customer": "acme", "code": "UNPAID", "hint": "The bill of May is open."},
            request_only=True,
        )
    ]
)
class HoldSerializer(TargetSerializer, SetSerializer):
    id = serializers.IntegerField(read_only=True)
    job = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**53)
    code = serializers.RegexField(r"^[A-Z][A-Z0-9_]*$", required=False, max_length=32, help_text="HELD if not given.")

    def to_representation(self, instance: Any) -> Any:
        return instance


class LimitsSerializer(Body):
    max_jobs = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**31 - 1, help_text="Active at once."
    )
    max_vcpus = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=2_000_000, help_text="Active at once."
    )
    max_queued_jobs = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**31 - 1, help_text="More are refused at submit."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "bound a customer", value={"scope": "customer", "customer": "acme", "max_jobs": 10}, request_only=True
        )
    ]
)
class QuotaSerializer(TargetSerializer, LimitsSerializer, SetSerializer):
    id = serializers.IntegerField(read_only=True)
    scope = serializers.ChoiceField(choices=CAPPED_SCOPES)
    job = AbsentField(read_only=True)

    def to_representation(self, instance: Any) -> Any:
        return instance


class QuotaChangeSerializer(LimitsSerializer):
    hint = serializers.CharField(required=False, allow_blank=True, max_length=255)


class SchedulerSerializer(Row):
    is_paused = serializers.BooleanField()
    paused_since = MomentField(read_only=True, allow_null=True)
    paused_by = serializers.CharField(read_only=True, allow_null=True)


class PlaceSerializer(Row):
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    runs_for = serializers.ChoiceField(choices=RunsFor.choices)
    seen = moment("When its worker was seen last.")
    vcpus = serializers.FloatField()
    memory_mib = serializers.IntegerField()
    active_jobs = serializers.IntegerField()
    active_vcpus = serializers.FloatField()
    active_memory_mib = serializers.IntegerField()


class SystemStatusSerializer(Row):
    timestamp = moment("Now.", null=False)
    version = serializers.CharField()
    scheduler = SchedulerSerializer()
    places = PlaceSerializer(many=True)
    queued_jobs = serializers.IntegerField()


class VersionSerializer(Row):
    version = serializers.CharField()


class QueueStatusSerializer(Row):
    job_type = AbsentField()
    customer = serializers.CharField()
    cloud = serializers.ChoiceField(choices=CLOUDS)
    region = serializers.CharField()
    queue = serializers.CharField()
    count = serializers.IntegerField(help_text="Jobs in line.")
    longest_queued = moment("Since when the first of them waits.", null=False)
    highest_priority = serializers.IntegerField(help_text="The smallest number.")
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Codes of what keeps them.")


class LoadSerializer(Row):
    time = moment("To the minute.", null=False)
    pending_count = serializers.IntegerField()
    queued_count = serializers.IntegerField()
    running_count = serializers.IntegerField()
