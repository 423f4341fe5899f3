"""What the Mapsor user operations take and give, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class MapsorErrorDetailSerializer(serializers.Serializer[Any]):
    status = serializers.IntegerField(help_text="HTTP status.")
    message = serializers.CharField(help_text="What went wrong; it names the field at fault.")
    code = serializers.CharField(help_text="Stable machine-readable code.")


class MapsorErrorSerializer(serializers.Serializer[Any]):
    error = MapsorErrorDetailSerializer()


class MapsorUserNameSerializer(serializers.Serializer[Any]):
    user = serializers.CharField(min_length=1, help_text="User name.")


class MapsorIssuedTokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    message = serializers.CharField()
