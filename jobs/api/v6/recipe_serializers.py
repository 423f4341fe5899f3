"""What recipes take and give, for the OpenAPI schema and the browsable API's forms."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobs import states
from jobs.api.v6 import recipe_examples as examples
from jobs.api.v6.serializers import AbsentField
from jobs.models import MAX_PRIORITY
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.errors import ErrorSerializer
from jobtypes.api.v6.serializers.job_types import JobTypeBriefSerializer
from jobtypes.api.v6.serializers.shapes import ObjectField, Row, moment

MAX_REVISION = 2**31 - 1


# --- What goes out -------------------------------------------------------------------------------


class RecipeReferenceSerializer(Row):
    id = serializers.IntegerField()


class RecipeTypeReferenceSerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    revision_num = serializers.IntegerField(help_text="Its newest.")


class RevisionReferenceSerializer(Row):
    id = serializers.IntegerField()
    revision_num = serializers.IntegerField()


class JobCountsSerializer(Row):
    """How many jobs there are in a recipe and in those inside it."""

    jobs_total = serializers.IntegerField(help_text="Made so far, those in recipes inside it, too.")
    jobs_pending = serializers.IntegerField()
    jobs_blocked = serializers.IntegerField()
    jobs_queued = serializers.IntegerField()
    jobs_running = serializers.IntegerField()
    jobs_completed = serializers.IntegerField()
    jobs_failed = serializers.IntegerField()
    jobs_canceled = serializers.IntegerField()


@extend_schema_serializer(examples=[answer("a recipe that goes on", examples.RECIPE)])
class RecipeSerializer(JobCountsSerializer):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    recipe_type = RecipeTypeReferenceSerializer()
    recipe_type_rev = RevisionReferenceSerializer(help_text="The revision that it runs.")
    recipe = RecipeReferenceSerializer(allow_null=True, help_text="The one that it is inside of.")
    customer = serializers.CharField()
    owner = serializers.CharField()
    cloud = serializers.CharField()
    region = serializers.CharField()
    sub_recipes_total = serializers.IntegerField(help_text="Recipes inside it, made so far.")
    sub_recipes_completed = serializers.IntegerField()
    is_completed = serializers.BooleanField(help_text="All of it that is to run is done.")
    is_canceled = serializers.BooleanField()
    is_superseded = serializers.BooleanField(help_text="Another has taken its place.")
    superseded_recipe = RecipeReferenceSerializer(allow_null=True, help_text="The one whose place it took.")
    created = moment("When it was made.", null=False)
    completed = moment("When the last of its nodes was done.")
    canceled = moment("When it was canceled.")
    superseded = moment("When another took its place.")
    last_modified = moment("When anything of it changed last.", null=False)
    event = AbsentField()
    ingest_event = AbsentField()
    batch = AbsentField()


class NodeDependencySerializer(Row):
    name = serializers.CharField()
    acceptance = serializers.BooleanField(help_text="Of a condition: what it must have found.")


class NodeJobSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    job_type = JobTypeBriefSerializer(allow_null=True)
    status = serializers.ChoiceField(choices=states.SHOWN_STATES)
    state = serializers.ChoiceField(choices=states.JOB_STATES, help_text="The finer one.")
    reason = serializers.CharField(
        allow_blank=True, help_text="Of a blocked one: PARENT_FAILED, or INPUT_MISSING where a job gave too little."
    )
    error = ErrorSerializer(allow_null=True)
    started = moment("When its first execution started.")
    ended = moment("When it ended.")


class NodeRecipeSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    recipe_type = RecipeTypeReferenceSerializer()
    is_completed = serializers.BooleanField()
    is_canceled = serializers.BooleanField()


class RecipeNodeSerializer(Row):
    name = serializers.CharField()
    node_type = serializers.ChoiceField(choices=("job", "recipe", "condition"))
    dependencies = NodeDependencySerializer(many=True)
    is_skipped = serializers.BooleanField(help_text="A condition has refused it.")
    is_original = serializers.BooleanField(help_text="False: taken over from the recipe that this one supersedes.")
    is_accepted = serializers.BooleanField(allow_null=True, help_text="Of a condition: what it found; null until then.")
    job = NodeJobSerializer(allow_null=True, help_text="Null until it is made.")
    recipe = NodeRecipeSerializer(allow_null=True, help_text="Null until it is made.")


@extend_schema_serializer(examples=[answer("a recipe that goes on", examples.RECIPE_DETAIL)])
class RecipeDetailSerializer(RecipeSerializer):
    superseded_by_recipe = RecipeReferenceSerializer(allow_null=True)
    input = ObjectField(help_text="`files` (ids) and `json` (values), by the names of the recipe type's inputs.")
    configuration = ObjectField(help_text="What was given for all its jobs.")
    nodes = RecipeNodeSerializer(many=True, help_text="Each after those that it depends on.")


# --- What comes in -------------------------------------------------------------------------------


@extend_schema_serializer(component_name="RecipeConfiguration")
class ConfigurationSerializer(Body):
    priority = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_PRIORITY, help_text="Of its jobs; smaller runs first."
    )


@extend_schema_serializer(examples=[body("a recipe", examples.NEW_RECIPE)])
class NewRecipeSerializer(Body):
    recipe_type_id = serializers.IntegerField(required=False, min_value=1, max_value=2**53)
    recipe_type = serializers.CharField(required=False, max_length=128, help_text="Its name, instead of the id.")
    recipe_type_revision = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_REVISION, help_text="The newest if not given."
    )
    input: Any = ObjectField(required=False, help_text="`files` (ids) and `json` (values), by the inputs' names.")
    configuration = ConfigurationSerializer(required=False, help_text="For all its jobs.")
    customer = serializers.CharField(required=False, max_length=255, help_text="Who pays; said by staff.")
    region = serializers.CharField(required=False, max_length=64)


@extend_schema_serializer(component_name="ForcedNodes")
class ForcedNodesSerializer(Body):
    all = serializers.BooleanField(required=False, help_text="Every node runs again.")
    nodes = serializers.ListField(
        child=serializers.CharField(max_length=128), required=False, max_length=500, help_text="Names."
    )


@extend_schema_serializer(examples=[body("one node and what follows it", examples.REPROCESS)])
class ReprocessSerializer(Body):
    recipe_type_revision = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_REVISION, help_text="The newest if not given."
    )
    forced_nodes = ForcedNodesSerializer(required=False, help_text="What runs again although nothing has changed.")
