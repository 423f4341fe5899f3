"""Job types, their versions and revisions, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import MOST_NAMED, Body
from jobtypes.api.v6 import examples
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.shapes import ObjectField, Row, moment

MAX_CAP: Final = 2**31 - 1

_SEED: Final = "A Seed 1.0.0 manifest: https://ngageoint.github.io/seed/seed.html."
_CONFIGURATION: Final = "`mounts`, `output_workspaces`, `priority` and `settings`, each of which may be left out."
_ICON: Final = "Font Awesome code."
_PUBLISHED: Final = "Whether customers' users see it."
_PAUSED: Final = "Nothing of this type leaves the queue while true."
_UNMET: Final = "Comma-separated names of needed resources that no place has."
_CAP: Final = "Most jobs of this type at a time; 0 or null: no cap."


# --- What goes out -------------------------------------------------------------------------------


class _Told(Row):
    """What its manifest and its flags say of a job type."""

    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    icon_code = serializers.CharField(allow_null=True, help_text=_ICON)
    is_published = serializers.BooleanField(help_text=_PUBLISHED)
    is_active = serializers.BooleanField(help_text="False: no new jobs of it.")
    is_paused = serializers.BooleanField(help_text=_PAUSED)
    is_system = serializers.BooleanField(help_text="The control plane's own.")
    unmet_resources = serializers.CharField(allow_null=True, help_text=_UNMET)


@extend_schema_serializer(component_name="JobTypeName", examples=[answer("a name", examples.JOB_TYPE_NAME)])
class JobTypeNameSerializer(_Told):
    name = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField(), help_text="Newest first, by SemVer.")
    latest_version = serializers.CharField()


@extend_schema_serializer(component_name="JobTypeBrief")
class JobTypeBriefSerializer(_Told):
    id = serializers.IntegerField()
    name = serializers.CharField()
    version = serializers.CharField()


@extend_schema_serializer(component_name="JobType", examples=[answer("a job type", examples.JOB_TYPE)])
class JobTypeSerializer(JobTypeBriefSerializer):
    max_scheduled = serializers.IntegerField(allow_null=True, help_text="Most jobs of this type at a time.")
    max_tries = serializers.IntegerField(help_text="Tries a job of it has in all, after errors that may be retried.")
    revision_num = serializers.IntegerField(help_text="Revisions so far.")
    docker_image = serializers.CharField(allow_blank=True)
    created = moment("When it was registered.", null=False)
    deprecated = moment("Since when it is not active.")
    paused = moment("Since when it is paused.")
    last_modified = moment("When it was edited last.", null=False)


@extend_schema_serializer(component_name="RecipeTypeSummary")
class RecipeTypeSummarySerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    revision_num = serializers.IntegerField()
    is_active = serializers.BooleanField()
    is_system = serializers.BooleanField()
    created = moment("When it was made.", null=False)
    deprecated = moment("Since when it is not active.")
    last_modified = moment("When it was edited last.", null=False)


@extend_schema_serializer(component_name="JobTypeDetails", examples=[answer("a job type", examples.JOB_TYPE_DETAIL)])
class JobTypeDetailSerializer(JobTypeSerializer):
    manifest = ObjectField(help_text="As it was posted.")
    configuration = ObjectField(help_text="Complete, without the values of secret settings.")
    recipe_types = RecipeTypeSummarySerializer(many=True, help_text="Those that hold it.")


@extend_schema_serializer(component_name="JobTypeRevision", examples=[answer("a revision", examples.REVISION)])
class RevisionSerializer(Row):
    id = serializers.IntegerField()
    job_type = JobTypeBriefSerializer(help_text="As it is now.")
    revision_num = serializers.IntegerField()
    docker_image = serializers.CharField(allow_blank=True)
    created = moment("When it was made.", null=False)


@extend_schema_serializer(
    component_name="JobTypeRevisionDetails", examples=[answer("a revision", examples.REVISION_DETAIL)]
)
class RevisionDetailSerializer(RevisionSerializer):
    manifest = ObjectField(help_text="As it was posted.")


class FindingSerializer(Row):
    name = serializers.CharField(help_text="Stable, for programs: MISSING_MOUNT.")
    description = serializers.CharField(help_text="For people.")


@extend_schema_serializer(component_name="ValidationResult", examples=[answer("with a warning", examples.VERDICT)])
class VerdictSerializer(Row):
    # Scale's names; a serializer has attributes of the same.
    is_valid = serializers.BooleanField()  # type: ignore[assignment]
    errors = FindingSerializer(many=True)  # type: ignore[assignment]
    warnings = FindingSerializer(many=True)


class FaultSerializer(FindingSerializer):
    field = serializers.CharField(allow_blank=True, help_text="What is at fault; empty for the request as a whole.")
    message = serializers.CharField(help_text="The description once more.")


@extend_schema_serializer(component_name="Refusal", examples=[answer("no workspace", examples.REFUSAL)])
class RefusalSerializer(Row):
    """The native shape of an error and a verdict in one."""

    detail = serializers.CharField()
    code = serializers.CharField()
    is_valid = serializers.BooleanField(help_text="False.")  # type: ignore[assignment]
    errors = FaultSerializer(many=True)  # type: ignore[assignment]
    warnings = FindingSerializer(many=True, help_text="Empty.")


# --- What comes in -------------------------------------------------------------------------------


class DocumentField(ObjectField):
    """A JSON object; what it says is judged where it is used."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("This is a JSON object.")
        return data


@extend_schema_field({"type": ["integer", "string"], "minimum": 0, "maximum": MAX_CAP})
class CapField(serializers.Field[int, Any, Any, Any]):
    """A whole number from 0 on, or one written as text."""

    def to_internal_value(self, data: Any) -> int:
        text = str(int(data)) if isinstance(data, float) and data.is_integer() else str(data)
        if isinstance(data, bool) or not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MAX_CAP:
            raise serializers.ValidationError(f"This is a whole number from 0 to {MAX_CAP}.")
        return int(text)

    def to_representation(self, value: int) -> int:
        return value


@extend_schema_field({"type": "boolean", "default": True})
class UsuallyField(serializers.BooleanField):
    """True if not given. Not as a default of DRF's: what is not given to an edit stays as it is."""


@extend_schema_field({"type": "boolean", "default": False})
class SeldomField(serializers.BooleanField):
    """False if not given, as above."""


class _Strict(Body):
    """A body that says, of a field that is none, which ones there are."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields))[:MOST_NAMED] if isinstance(data, Mapping) else []
        if unknown:
            message = f"There is no such field; there are {', '.join(self.fields)}."
            raise serializers.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)


@extend_schema_serializer(component_name="JobTypeEdit", examples=[body("a pause", {"is_paused": True})])
class EditSerializer(_Strict):
    icon_code = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=20, trim_whitespace=False, help_text=_ICON
    )
    is_published = serializers.BooleanField(required=False, help_text=_PUBLISHED)
    is_active = serializers.BooleanField(required=False, help_text="False: no new jobs of it.")
    is_paused = serializers.BooleanField(required=False, help_text=_PAUSED)
    max_scheduled = CapField(required=False, allow_null=True, help_text=_CAP)
    docker_image = serializers.CharField(required=False, allow_blank=True, max_length=1024, trim_whitespace=False)
    configuration = DocumentField(required=False, allow_null=True, help_text=_CONFIGURATION)
    manifest = DocumentField(required=False, help_text=_SEED)
    auto_update = UsuallyField(required=False, help_text="Recipes that hold it go over to a new revision.")


@extend_schema_serializer(component_name="JobTypeCreate", examples=[body("a job type", examples.NEW_JOB_TYPE)])
class CreateSerializer(EditSerializer):
    docker_image = serializers.CharField(allow_blank=True, max_length=1024, trim_whitespace=False)
    manifest = DocumentField(help_text=_SEED)
    is_published = SeldomField(required=False, help_text=_PUBLISHED)


@extend_schema_serializer(
    component_name="JobTypeValidate", examples=[body("a job type", {"manifest": examples.MANIFEST})]
)
class ValidateSerializer(serializers.Serializer[Any]):
    manifest = DocumentField(help_text=_SEED)
    configuration = DocumentField(required=False, allow_null=True, help_text=_CONFIGURATION)
