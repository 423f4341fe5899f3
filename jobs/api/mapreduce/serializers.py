"""What the MapReduce operations give, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers


@extend_schema_serializer(component_name="MapReduceArtifact")
class ArtifactSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="File name; the key.")
    type = serializers.CharField(help_text="executable for every upload.")
    size = serializers.IntegerField(min_value=0, help_text="Bytes.")
    hash = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="SHA-256 of the content, lower-case hex.")
