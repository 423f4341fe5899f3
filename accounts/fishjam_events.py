"""What Fishjam's webhooks are told: the JSON Schema of their payloads."""

from __future__ import annotations

from typing import Any, Final

# kind -> what the title of its data says.
TITLES: Final = {"create_container": "CreateContainerData", "delete_container": "DeleteContainerData"}
_TEXT: Final = {"type": "string"}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a payload: a container was made or deleted, or could not be, and then `reason` says why."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ContainerEvent",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in TITLES],
        "$defs": {kind: _of(kind, title) for kind, title in TITLES.items()},
    }


def _of(kind: str, title: str) -> dict[str, Any]:
    data = {
        "type": "object",
        "required": ["uuid", "name", "title"],
        "properties": {
            "uuid": _TEXT,
            "name": _TEXT,
            "title": {"const": title},
            "status": {**_TEXT, "description": "Where it went well."},
            "reason": {**_TEXT, "description": "Where it failed, such as invalid_status."},
        },
        "oneOf": [{"required": ["status"]}, {"required": ["reason"]}],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "required": ["kind", "data"],
        "properties": {"kind": {"const": kind}, "data": data},
        "additionalProperties": False,
    }
