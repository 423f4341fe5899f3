"""The JSON Schema of a recipe type's definition. See jobtypes.seed.schemas for how these are written."""

from __future__ import annotations

from typing import Any, Final

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

NAME_LENGTH: Final = 128
TEXT_LENGTH: Final = 1024
MAX_NODES: Final = 500
MAX_ITEMS: Final = 1000
INT32: Final = 2**31 - 1
JSON_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
CONDITIONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "between", "contains", "matches")
FILE_TYPES: Final = ("filename", "media-type")

_SHORT_TEXT: Schema = {"type": "string", "maxLength": TEXT_LENGTH}
_FLAG: Schema = {"type": "boolean"}
_WORDS: Schema = {"pattern": r"^[a-zA-Z0-9_ -]+$(?!\n)", "description": "letters, digits, spaces, - and _ only"}
_NAME: Schema = {"type": "string", "maxLength": NAME_LENGTH, **_WORDS}
_REVISION: Schema = {"type": "integer", "minimum": 1, "maximum": INT32}


def _object(required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": members, "additionalProperties": False}


def _list(items: Schema, *, fewest: int = 0) -> Schema:
    return {"type": "array", "maxItems": MAX_ITEMS, "minItems": fewest, "items": items}


def _map(values: Schema, most: int) -> Schema:
    names = {"maxLength": NAME_LENGTH, **_WORDS}
    return {"type": "object", "maxProperties": most, "propertyNames": names, "additionalProperties": values}


def _kinds(member: str, kinds: dict[str, Schema]) -> Schema:
    """An object whose `member` says which of these it is."""
    branches = [{"if": {"properties": {member: {"const": name}}}, "then": then} for name, then in kinds.items()]
    named = {"type": "object", "required": [member], "properties": {member: {"enum": list(kinds)}}}
    return {**named, "allOf": branches}


_INTERFACE: Schema = _object(
    version=_SHORT_TEXT,
    files=_list(
        _object(("name",), name=_NAME, media_types=_list(_SHORT_TEXT), required=_FLAG, multiple=_FLAG, partial=_FLAG)
    ),
    json=_list(_object(("name", "type"), name=_NAME, type={"enum": list(JSON_TYPES)}, required=_FLAG)),
)
_FILTER: Schema = _object(
    ("name", "type", "condition", "values"),
    name=_NAME,
    type={"enum": [*JSON_TYPES, *FILE_TYPES]},
    condition={"enum": list(CONDITIONS)},
    values=_list({}, fewest=1),
    all_files=_FLAG,
)
_NODE_TYPE: Schema = _kinds(
    "node_type",
    {
        "job": _object(
            ("job_type_name", "job_type_version"),
            node_type=_SHORT_TEXT,
            job_type_name=_SHORT_TEXT,
            job_type_version=_SHORT_TEXT,
            job_type_revision=_REVISION,
        ),
        "recipe": _object(
            ("recipe_type_name",),
            node_type=_SHORT_TEXT,
            recipe_type_name=_SHORT_TEXT,
            recipe_type_revision=_REVISION,
        ),
        "condition": _object(
            ("interface", "data_filter"),
            node_type=_SHORT_TEXT,
            interface=_INTERFACE,
            data_filter=_object(("filters",), version=_SHORT_TEXT, filters=_list(_FILTER, fewest=1), all=_FLAG),
        ),
    },
)
_CONNECTION: Schema = _kinds(
    "type",
    {
        "recipe": _object(("input",), type=_SHORT_TEXT, input=_NAME),
        "dependency": _object(("node", "output"), type=_SHORT_TEXT, node=_NAME, output=_NAME),
    },
)
_NODE: Schema = _object(
    ("node_type",),
    dependencies=_list(_object(("name",), name=_NAME, acceptance=_FLAG)),
    input=_map(_CONNECTION, MAX_ITEMS),
    node_type=_NODE_TYPE,
)

DEFINITION: Final = Draft202012Validator(
    _object(("nodes",), version=_SHORT_TEXT, input=_INTERFACE, nodes=_map(_NODE, MAX_NODES))
)
