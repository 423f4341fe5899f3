"""What the artifacts' resources take and give, for the OpenAPI schema and the browsable API's forms."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from controlplane.core.bodies import Body
from jobs.models import Artifact, ArtifactVersion, Protocol
from jobtypes.api.v6.examples import answer, body
from jobtypes.api.v6.rows import moment as told
from jobtypes.api.v6.serializers.shapes import Row, moment

ARTIFACT: Final[dict[str, Any]] = {
    "id": 7,
    "name": "mapper",
    "customer": "acme",
    "owner": "ada",
    "protocol": "apollo",
    "version": 2,
    "size": 1_843_200,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created": "2026-03-01T12:00:00.250000Z",
    "last_modified": "2026-03-02T08:30:00.000000Z",
}
VERSION: Final[dict[str, Any]] = {
    "version": 2,
    "size": ARTIFACT["size"],
    "sha256": ARTIFACT["sha256"],
    "created_by": "ada",
    "created": ARTIFACT["last_modified"],
}


@extend_schema_serializer(examples=[answer("a program", ARTIFACT)])
class ArtifactSerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    customer = serializers.CharField(allow_null=True, help_text="Null: the staff's.")
    owner = serializers.CharField(help_text="Who uploaded it first.")
    protocol = serializers.ChoiceField(
        choices=Protocol.choices,
        help_text="apollo: a process for each line and key, by sockets; streaming: for each split and partition, by "
        "standard input and output.",
    )
    version = serializers.IntegerField(help_text="The present one.")
    size = serializers.IntegerField(help_text="Bytes of the present version.")
    sha256 = serializers.CharField(help_text="Of the present version, in hex.")
    created = moment("When it was uploaded first.", null=False)
    last_modified = moment("When it was uploaded or edited last.", null=False)


@extend_schema_serializer(component_name="ArtifactChange", examples=[body("of Hadoop", {"protocol": "streaming"})])
class ArtifactChangeSerializer(Body):
    protocol = serializers.ChoiceField(choices=Protocol.choices)


@extend_schema_serializer(examples=[answer("a version", VERSION)])
class ArtifactVersionSerializer(Row):
    version = serializers.IntegerField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField(help_text="In hex.")
    created_by = serializers.CharField()
    created = moment("When it was uploaded.", null=False)


def artifact(row: Artifact) -> dict[str, Any]:
    """An artifact in the native surface's words; loaded with its customer and owner."""
    return {
        "id": row.pk,
        "name": row.name,
        "customer": row.customer.name if row.customer else None,
        "owner": row.owner.username,
        "protocol": row.protocol,
        "version": row.version,
        "size": row.size,
        "sha256": row.sha256,
        "created": told(row.created_at),
        "last_modified": told(row.modified_at),
    }


def version(row: ArtifactVersion) -> dict[str, Any]:
    """A version in the same words; loaded with who made it."""
    return {
        "version": row.number,
        "size": row.size,
        "sha256": row.sha256,
        "created_by": row.created_by.username,
        "created": told(row.created_at),
    }
