"""What every native body that a serializer reads is held to: nothing unknown, and JSON's own types.

DRF by itself leaves unknown fields out and reads 0 as "0" and "yes" as true, so a misspelt or misplaced
value would be done as something that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

# Kind of field -> (what JSON gives for it, what is said of anything else). The first that fits counts.
_TYPES: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...], str], ...] = (
    (serializers.BooleanField, (bool,), "This is true or false."),
    (serializers.IntegerField, (int, float), "This is a whole number."),
    (serializers.FloatField, (int, float), "This is a number."),
    (serializers.CharField, (str,), "This is text."),
    (serializers.ChoiceField, (str,), "This is text."),
)
MOST_NAMED = 10


class OpenBody(serializers.Serializer[Any]):
    """A JSON object with the fields it declares, each of JSON's own type; others are left out, as a contract has it."""

    def to_internal_value(self, data: Any) -> Any:
        faults = self._faults(data) if isinstance(data, Mapping) else {}
        if faults:
            raise serializers.ValidationError(faults)
        return super().to_internal_value(data)

    def _faults(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        return _mistyped(data, self.fields)


class Body(OpenBody):
    """A JSON object with the fields it declares and no others."""

    def _faults(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        unknown = sorted(set(data) - set(self.fields))[:MOST_NAMED]
        return {name: ["There is no such field."] for name in unknown} | _mistyped(data, self.fields)


def _mistyped(data: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in data.items():
        if name in fields and value is not None:
            wrong = _wrong_type(value, fields[name])
            if wrong:
                found[name] = [wrong]
    return found


def _wrong_type(value: Any, field: Any) -> str:
    for kind, types, words in _TYPES:
        if isinstance(field, kind):
            return "" if isinstance(value, types) and (bool in types or not isinstance(value, bool)) else words
    return ""


class BodyExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call] # of its base
    """The schema says of each Body that there are no other fields."""

    target_class = OpenBody
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        own = self.target if isinstance(self.target, type) else type(self.target)
        if "__doc__" not in vars(own) or not own.__doc__:
            schema.pop("description", None)  # a base class's, which is for who reads the source
        closed = direction == "request" and issubclass(own, Body)
        return {**schema, "additionalProperties": False} if closed else schema


class AmountField(serializers.CharField):
    """An amount of money: a decimal number as text, since JSON's own numbers become floats on their way."""

    def __init__(self, *, decimals: int = 9, is_signed: bool = False, **more: Any) -> None:
        self._pattern = rf"{'-?' if is_signed else ''}[0-9]{{1,10}}(\.[0-9]{{1,{decimals}}})?"
        self._decimals = decimals
        extend_schema_field({"type": "string", "pattern": f"^{self._pattern}$"})(self)  # type: ignore[type-var]
        super().__init__(trim_whitespace=False, **more)

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not re.fullmatch(self._pattern, text):
            raise serializers.ValidationError(
                f"This is an amount such as 12.50, with {self._decimals} decimals at most."
            )
        return Decimal(text)
