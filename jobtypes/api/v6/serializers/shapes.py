"""Fields and bases that serializers of rows written by hand share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.core.bodies import Body


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.JSONField):
    """Any JSON object."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            raise serializers.ValidationError("This is a JSON object.")
        return value


class MomentField(serializers.DateTimeField):
    """ISO 8601, UTC."""


class Row(Body):
    """A serializer whose output rows.py has written already."""

    def to_representation(self, instance: Any) -> Any:
        return instance


def moment(help_text: str, *, null: bool = True) -> MomentField:
    return MomentField(allow_null=null, help_text=help_text)
