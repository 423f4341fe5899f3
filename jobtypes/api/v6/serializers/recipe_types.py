"""Recipe types, their revisions, and what is said of them."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobtypes.api.v6 import recipe_examples as examples
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.job_types import (
    DocumentField,
    FindingSerializer,
    JobTypeSerializer,
    RecipeTypeSummarySerializer,
    UsuallyField,
    VerdictSerializer,
)
from jobtypes.api.v6.serializers.shapes import ObjectField, Row, moment
from jobtypes.recipe.difference import Status

_DEFINITION: Final = (
    "`input`: the files and JSON values that it takes. `nodes`: by name, each with its `dependencies`, its `input` "
    "(from the recipe's, or from an output of another node) and its `node_type`: a job, a recipe, or a condition."
)


# --- What goes out -------------------------------------------------------------------------------


@extend_schema_serializer(component_name="JobTypeKey")
class JobTypeKeySerializer(Row):
    name = serializers.CharField()
    version = serializers.CharField()


@extend_schema_serializer(component_name="RecipeType", examples=[answer("a recipe type", examples.RECIPE_TYPE)])
class RecipeTypeSerializer(RecipeTypeSummarySerializer):
    job_types = JobTypeKeySerializer(many=True, help_text="What it is made of now.")
    sub_recipe_types = serializers.ListField(child=serializers.CharField(), help_text="Names of those inside it.")


@extend_schema_serializer(
    component_name="RecipeTypeDetails", examples=[answer("a recipe type", examples.RECIPE_TYPE_DETAIL)]
)
class RecipeTypeDetailSerializer(RecipeTypeSummarySerializer):
    definition = ObjectField(help_text="As it was posted, with the revision of every node.")
    job_types = JobTypeSerializer(many=True)
    sub_recipe_types = RecipeTypeSummarySerializer(many=True, help_text="Those inside it.")
    super_recipe_types = RecipeTypeSummarySerializer(many=True, help_text="Those that it is inside of.")


@extend_schema_serializer(component_name="RecipeTypeRevision", examples=[answer("a revision", examples.REVISION)])
class RecipeRevisionSerializer(Row):
    id = serializers.IntegerField()
    recipe_type = RecipeTypeSummarySerializer(help_text="As it is now.")
    revision_num = serializers.IntegerField()
    created = moment("When it was made.", null=False)


@extend_schema_serializer(
    component_name="RecipeTypeRevisionDetails", examples=[answer("a revision", examples.REVISION_DETAIL)]
)
class RecipeRevisionDetailSerializer(RecipeRevisionSerializer):
    definition = ObjectField()


@extend_schema_serializer(component_name="RecipeNodeDifference")
class NodeDifferenceSerializer(Row):
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    reprocess_new_node = serializers.BooleanField(
        help_text="Whether a recipe that is run anew runs it, because it or what it depends on has changed."
    )
    changes = FindingSerializer(many=True)


@extend_schema_serializer(component_name="RecipeTypeDifference")
class DifferenceSerializer(Row):
    nodes = serializers.DictField(child=NodeDifferenceSerializer(), help_text="By name.")


@extend_schema_serializer(
    component_name="RecipeTypeVerdict", examples=[answer("a new revision of a job type", examples.VERDICT)]
)
class RecipeVerdictSerializer(VerdictSerializer):
    diff = DifferenceSerializer(help_text="Against the present definition; empty when it is not valid.")


# --- What comes in -------------------------------------------------------------------------------


@extend_schema_serializer(component_name="RecipeTypeEdit", examples=[body("a title", {"title": "Read long texts"})])
class RecipeTypeEditSerializer(Body):
    title = serializers.CharField(required=False, max_length=128)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    definition = DocumentField(required=False, help_text=_DEFINITION)
    is_active = serializers.BooleanField(required=False, help_text="False: no new recipes of it.")
    auto_update = UsuallyField(required=False, help_text="Recipe types that hold it go over to a new revision.")


@extend_schema_serializer(component_name="RecipeTypeCreate", examples=[body("a recipe type", examples.NEW_RECIPE_TYPE)])
class RecipeTypeCreateSerializer(Body):
    title = serializers.CharField(max_length=128, help_text="Its name is made from this.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    definition = DocumentField(help_text=_DEFINITION)
    is_active = UsuallyField(required=False, help_text="False: no new recipes of it.")


@extend_schema_serializer(
    component_name="RecipeTypeValidate", examples=[body("a recipe type", {"definition": examples.DEFINITION})]
)
class RecipeTypeValidateSerializer(Body):
    name = serializers.CharField(required=False, max_length=128, help_text="Of the one that would be edited.")
    title = serializers.CharField(required=False, max_length=128)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    definition = DocumentField(help_text=_DEFINITION)
