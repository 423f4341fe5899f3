"""The JSON Schemas of a Seed 1.0.0 manifest and of a job type's configuration.

The order of keywords is the order of checks: bounds come before what is costly. `$(?!\\n)` in patterns, because
Python's `$` also matches before a last line break. A pattern's description says it in words.
"""

from __future__ import annotations

from typing import Any, Final

from jsonschema import Draft202012Validator

from jobtypes.seed import versions

Schema = dict[str, Any]

JOB_NAME_LENGTH: Final = 128
VERSION_LENGTH: Final = 128
TAG_LENGTH: Final = 100
ERROR_NAME_LENGTH: Final = 64
ERROR_TITLE_LENGTH: Final = 128
TEXT_LENGTH: Final = 1024
SETTING_NAME_LENGTH: Final = 255
SETTING_LENGTH: Final = 32_000  # Linux takes 128 KiB for one variable, and a character is up to four bytes
MAX_ITEMS: Final = 1000  # of every list
MAX_MEDIA_TYPES: Final = 100  # of one input
INT32: Final = 2**31 - 1

_TEXT: Schema = {"type": "string"}
_SHORT_TEXT: Schema = {"type": "string", "maxLength": TEXT_LENGTH}
_FLAG: Schema = {"type": "boolean"}
_NAME: Schema = {
    "type": "string",
    "maxLength": TEXT_LENGTH,
    "pattern": r"^[a-zA-Z0-9_-]+$(?!\n)",
    "description": "letters, digits, - and _ only",
}
_JSON_TYPE: Schema = {"enum": ["array", "boolean", "integer", "number", "object", "string"]}
_JOB_NAME: Schema = {
    "type": "string",
    "maxLength": JOB_NAME_LENGTH,
    "pattern": r"^[a-zA-Z0-9-]+$(?!\n)",
    "description": "letters, digits and - only",
}
_VERSION: Schema = {
    "type": "string",
    "maxLength": VERSION_LENGTH,
    "pattern": versions.PATTERN,
    "description": "a semantic version like 1.0.0",
}


def _object(required: tuple[str, ...] = (), /, **members: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": members, "additionalProperties": False}


def _list(items: Schema, max_items: int = MAX_ITEMS) -> Schema:
    return {"type": "array", "maxItems": max_items, "items": items}


def _map(values: Schema) -> Schema:
    return {
        "type": "object",
        "maxProperties": MAX_ITEMS,
        "propertyNames": {"maxLength": TEXT_LENGTH},
        "additionalProperties": values,
    }


_INPUT_FILE: Schema = _object(
    ("name",),
    name=_NAME,
    required=_FLAG,
    mediaTypes=_list(_SHORT_TEXT, MAX_MEDIA_TYPES),
    multiple=_FLAG,
    partial=_FLAG,
)
_INPUT_JSON: Schema = _object(("name", "type"), name=_NAME, type=_JSON_TYPE, required=_FLAG)
_OUTPUT_FILE: Schema = _object(
    ("name", "pattern"), name=_NAME, pattern=_SHORT_TEXT, mediaType=_SHORT_TEXT, multiple=_FLAG, required=_FLAG
)
_OUTPUT_JSON: Schema = _object(("name", "type"), name=_NAME, key=_SHORT_TEXT, type=_JSON_TYPE, required=_FLAG)

_INTERFACE: Schema = _object(
    command=_TEXT,
    inputs=_object(files=_list(_INPUT_FILE), json=_list(_INPUT_JSON)),
    outputs=_object(files=_list(_OUTPUT_FILE), json=_list(_OUTPUT_JSON)),
    mounts=_list(_object(("name", "path"), name=_NAME, path=_SHORT_TEXT, mode={"enum": ["ro", "rw"]})),
    settings=_list(_object(("name",), name={**_NAME, "maxLength": SETTING_NAME_LENGTH}, secret=_FLAG)),
)

_ERROR: Schema = _object(
    ("code",),  # Seed demands a name too, the customer's own manifests have none
    code={"type": "integer", "minimum": -INT32, "maximum": INT32},
    name={**_NAME, "maxLength": ERROR_NAME_LENGTH},
    title={"type": "string", "maxLength": ERROR_TITLE_LENGTH},
    description=_TEXT,
    category={"enum": ["job", "data"]},
)

_JOB: Schema = _object(
    ("name", "jobVersion", "packageVersion", "title", "description", "maintainer", "timeout"),
    name=_JOB_NAME,
    jobVersion=_VERSION,
    packageVersion=_VERSION,
    title=_TEXT,
    description=_TEXT,
    maintainer=_object(("name", "email"), name=_TEXT, email=_TEXT, organization=_TEXT, url=_TEXT, phone=_TEXT),
    timeout={"type": "integer"},
    tags=_list({"type": "string", "maxLength": TAG_LENGTH}),
    resources=_object(
        scalar=_list(
            _object(("name", "value"), name=_NAME, value={"type": "number"}, inputMultiplier={"type": "number"})
        )
    ),
    interface=_INTERFACE,
    errors=_list(_ERROR),
)

_HOST_MOUNT: Schema = _object(("host_path",), type=_TEXT, host_path=_SHORT_TEXT)
_VOLUME_MOUNT: Schema = _object(type=_TEXT, driver=_SHORT_TEXT, driver_opts=_map(_TEXT))
_MOUNT: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["host", "volume"]}},
    "if": {"properties": {"type": {"const": "host"}}},
    "then": _HOST_MOUNT,
    "else": _VOLUME_MOUNT,
}

MANIFEST: Final = Draft202012Validator(_object(("seedVersion", "job"), seedVersion={"const": "1.0.0"}, job=_JOB))

CONFIGURATION: Final = Draft202012Validator(
    _object(
        version=_TEXT,
        mounts=_map(_MOUNT),
        output_workspaces=_object(default=_SHORT_TEXT, outputs=_map(_SHORT_TEXT)),
        priority={"type": "integer", "minimum": 1, "maximum": INT32},
        settings=_map({"type": "string", "maxLength": SETTING_LENGTH}),
    )
)
