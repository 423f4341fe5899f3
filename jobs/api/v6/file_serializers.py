"""What the files' resources take and give, for the OpenAPI schema and the browsable API's forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from controlplane.core.times import parse_moment
from jobs.models import FileType
from jobs.services.descriptions import MAX_TEXT
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.shapes import MomentField, ObjectField, Row, moment

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"
_POINT: Final = {"type": "Point", "coordinates": [13.4, 52.5]}
FILE: Final[dict[str, Any]] = {
    "id": 41,
    "uuid": "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c41",
    "file_name": "scene.tif",
    "workspace": {"id": 3, "name": "raw", "title": "Raw data", "base_url": "", "is_active": True},
    "media_type": "image/tiff",
    "file_type": "SOURCE",
    "file_size": 1_048_576,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "file_path": "in/scene.tif",
    "is_deleted": False,
    "deleted": None,
    "url": "https://compute.example.com/v6/files/41/content/",
    "owner": "ada",
    "customer": "acme",
    "created": _MOMENT,
    "last_modified": _MOMENT,
    **dict.fromkeys(("data_started", "data_ended", "source_started", "source_ended")),
    **dict.fromkeys(("source_sensor_class", "source_collection", "source_task"), ""),
    "source_sensor": "msi",
    "geometry": _POINT,
    **dict.fromkeys(("job", "job_exe", "job_type", "recipe")),
    "job_output": "",
}


class WorkspaceOfFileSerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    base_url = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField()


class OriginSerializer(Row):
    id = serializers.IntegerField()


class JobTypeOfFileSerializer(OriginSerializer):
    name = serializers.CharField()
    version = serializers.CharField()


def _said(help_text: str) -> serializers.CharField:
    return serializers.CharField(allow_blank=True, help_text=help_text)


@extend_schema_serializer(examples=[answer("a file", FILE)])
class FileSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    file_name = serializers.CharField()
    workspace = WorkspaceOfFileSerializer()
    media_type = serializers.CharField(allow_blank=True)
    file_type = serializers.ChoiceField(choices=FileType.choices, help_text="From outside, or what a job put out.")
    file_size = serializers.IntegerField(help_text="Bytes.")
    sha256 = _said("Empty where nobody has read it.")
    file_path = serializers.CharField(help_text="Its place in the workspace.")
    is_deleted = serializers.BooleanField()
    deleted = moment("When it was deleted.")
    url = serializers.CharField(help_text="Where its bytes are to be had.")
    owner = serializers.CharField(allow_null=True)
    customer = serializers.CharField(allow_null=True, help_text="Null: only staff see it.")
    created = moment("When it became known.", null=False)
    last_modified = moment("When its row changed last.", null=False)
    data_started = moment("From when its data is.")
    data_ended = moment("Until when its data is.")
    source_started = moment("From when its source's data is.")
    source_ended = moment("Until when its source's data is.")
    source_sensor_class = _said("Of its source.")
    source_sensor = _said("Of its source.")
    source_collection = _said("Of its source.")
    source_task = _said("Of its source.")
    geometry = ObjectField(allow_null=True, help_text="GeoJSON.")
    job = OriginSerializer(allow_null=True, help_text="The job that put it out.")
    job_exe = OriginSerializer(allow_null=True, help_text="The execution that put it out.")
    job_output = _said("Which output of the job it is.")
    job_type = JobTypeOfFileSerializer(allow_null=True)
    recipe = OriginSerializer(allow_null=True)


@extend_schema_serializer(examples=[answer("a file", {**FILE, "meta_data": {"cloud_cover": 0.1}})])
class FileDetailSerializer(FileSerializer):
    meta_data = ObjectField(help_text="Whatever else is said of it.")


class GivenMomentField(MomentField):
    """As everywhere in addresses: with its zone, or a duration before now."""

    def to_internal_value(self, value: Any) -> datetime:
        found = parse_moment(value) if isinstance(value, str) else None
        if found is None:
            message = "This is an ISO 8601 date-time with zone, or a duration such as PT1H (before now)."
            raise serializers.ValidationError(message)
        return found


def _text() -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)


@extend_schema_serializer(
    component_name="FileChange",
    examples=[body("where it was taken", {"geometry": _POINT, "source_sensor": "msi", "meta_data": {"cloudy": False}})],
)
class FileChangeSerializer(Body):
    media_type = serializers.CharField(required=False, max_length=255)
    data_started = GivenMomentField(required=False, allow_null=True, source="data_started_at")
    data_ended = GivenMomentField(required=False, allow_null=True, source="data_ended_at")
    source_started = GivenMomentField(required=False, allow_null=True, source="source_started_at")
    source_ended = GivenMomentField(required=False, allow_null=True, source="source_ended_at")
    source_sensor_class = _text()
    source_sensor = _text()
    source_collection = _text()
    source_task = _text()
    geometry = ObjectField(required=False, allow_null=True, help_text="GeoJSON, 64 KiB at most.")
    meta_data = ObjectField(required=False, help_text="64 KiB at most.")


@extend_schema_serializer(
    component_name="NewFile",
    examples=[body("one that is there already", {"workspace": "raw", "file_path": "in/scene.tif", "customer": "acme"})],
)
class NewFileSerializer(FileChangeSerializer):
    workspace = serializers.CharField(max_length=50, help_text="Id or name.")
    file_path = serializers.CharField(max_length=1024, trim_whitespace=False, help_text="Its place in the workspace.")
    sha256 = serializers.CharField(
        required=False, max_length=64, help_text="Taken at your word; without it the file is read."
    )
    customer = serializers.CharField(
        required=False, max_length=255, trim_whitespace=False, help_text="Whose it is to be. Only staff see the rest."
    )
