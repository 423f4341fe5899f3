"""Workspaces."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.serializers.shapes import ObjectField, Row, moment

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"
_FOLDER: Final = {"broker": {"type": "host", "host_path": "/srv/files/raw"}}
_BUCKET: Final = {
    "broker": {
        "type": "s3",
        "bucket_name": "acme-raw",
        "region_name": "eu-west-1",
        "credentials": {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "*****"},
    }
}
WORKSPACE: Final[dict[str, Any]] = {
    "id": 3,
    "name": "raw",
    "title": "Raw data",
    "description": "What comes in",
    "base_url": "",
    "is_active": True,
    "created": _MOMENT,
    "deprecated": None,
    "last_modified": _MOMENT,
}
_CONFIGURATION: Final = (
    'Where its files are: `{"broker": {"type": "host", "host_path": …}}`, or of type s3 or azure. '
    "Secrets are never shown, but as `*****`."
)


@extend_schema_serializer(examples=[answer("a workspace", WORKSPACE)])
class WorkspaceSerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    base_url = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField(help_text="False: no new files come here.")
    created = moment("When it was made.", null=False)
    deprecated = moment("Since when it is not active.")
    last_modified = moment("When it was changed last.", null=False)


@extend_schema_serializer(examples=[answer("as staff see it", {**WORKSPACE, "configuration": _BUCKET})])
class WorkspaceDetailSerializer(WorkspaceSerializer):
    configuration = ObjectField(
        required=False, allow_null=True, help_text=f"{_CONFIGURATION} For staff; null when no present key reads it."
    )


class _Change(Body):
    """What can be changed of a workspace."""

    title = serializers.CharField(max_length=128)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    base_url = serializers.URLField(
        required=False, allow_blank=True, max_length=500, help_text="Where a web server of yours shows its files."
    )
    is_active = serializers.BooleanField(required=False)
    configuration = ObjectField(help_text=_CONFIGURATION)


@extend_schema_serializer(
    component_name="NewWorkspace",
    examples=[body("a folder", {"title": "Raw data", "name": "raw", "configuration": _FOLDER})],
)
class NewWorkspaceSerializer(_Change):
    name = serializers.CharField(
        required=False, max_length=50, help_text="Letters, digits, - and _. Made from the title when not given."
    )


@extend_schema_serializer(
    component_name="WorkspaceChange", examples=[body("no new files", {"is_active": False, "title": "Raw data, full"})]
)
class WorkspaceChangeSerializer(_Change):
    title = serializers.CharField(required=False, max_length=128)
    configuration = ObjectField(required=False, help_text=f"{_CONFIGURATION} What is sent as `*****` stays as it is.")
