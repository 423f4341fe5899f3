"""Examples of answers and bodies, for the OpenAPI schema and the browsable API's forms; a test holds them to it."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"

ERROR: Final[dict[str, Any]] = {
    "id": 7,
    "name": "exit-code",
    "title": "The command failed",
    "description": "The command ended with another exit code than 0.",
    "job_type_name": None,
    "category": "ALGORITHM",
    "is_builtin": True,
    "should_be_retried": False,
    "created": _MOMENT,
    "last_modified": _MOMENT,
}
NEW_ERROR: Final = {
    "name": "no-licence",
    "title": "No licence was free",
    "category": "SYSTEM",
    "should_be_retried": True,
}
MANIFEST: Final[dict[str, Any]] = {
    "seedVersion": "1.0.0",
    "job": {
        "name": "count-words",
        "jobVersion": "1.0.0",
        "packageVersion": "1.0.0",
        "title": "Count words",
        "description": "Counts the words of a text.",
        "maintainer": {"name": "Jane Doe", "email": "jane@example.com"},
        "timeout": 60,
        "resources": {"scalar": [{"name": "cpus", "value": 0.5}, {"name": "mem", "value": 256}]},
        "interface": {
            "command": "count ${TEXT}",
            "inputs": {"files": [{"name": "TEXT"}]},
            "outputs": {"json": [{"name": "total", "type": "integer"}]},
        },
    },
}
NEW_JOB_TYPE: Final[dict[str, Any]] = {
    "docker_image": "count-words:1.0.0",
    "manifest": MANIFEST,
    "configuration": {"priority": 50},
    "is_published": True,
}
_ABOUT: Final[dict[str, Any]] = {
    "title": "Count words",
    "description": "Counts the words of a text.",
    "icon_code": None,
    "is_published": True,
    "is_active": True,
    "is_paused": False,
    "is_system": False,
    "unmet_resources": None,
}
JOB_TYPE_NAME: Final[dict[str, Any]] = {
    "name": "count-words",
    **_ABOUT,
    "versions": ["1.10.0", "1.2.0"],
    "latest_version": "1.10.0",
}
_BRIEF: Final[dict[str, Any]] = {"id": 11, "name": "count-words", "version": "1.0.0", **_ABOUT}
JOB_TYPE: Final[dict[str, Any]] = {
    **_BRIEF,
    "max_scheduled": None,
    "max_tries": 3,
    "revision_num": 1,
    "docker_image": "count-words:1.0.0",
    "created": _MOMENT,
    "deprecated": None,
    "paused": None,
    "last_modified": _MOMENT,
}
JOB_TYPE_DETAIL: Final[dict[str, Any]] = {
    **JOB_TYPE,
    "manifest": MANIFEST,
    "configuration": {
        "mounts": {},
        "output_workspaces": {"default": "", "outputs": {}},
        "priority": 50,
        "settings": {},
    },
    "recipe_types": [],
}
REVISION: Final[dict[str, Any]] = {
    "id": 12,
    "job_type": _BRIEF,
    "revision_num": 1,
    "docker_image": "count-words:1.0.0",
    "created": _MOMENT,
}
REVISION_DETAIL: Final[dict[str, Any]] = {**REVISION, "manifest": MANIFEST}
_MISSING: Final = "There is no workspace for the output COUNTS."
VERDICT: Final[dict[str, Any]] = {
    "is_valid": True,
    "errors": [],
    "warnings": [{"name": "MISSING_MOUNT", "description": "The mount MODELS is not configured."}],
}
REFUSAL: Final[dict[str, Any]] = {
    "detail": f"configuration: {_MISSING}",
    "code": "INVALID_REQUEST",
    "is_valid": False,
    "errors": [{"name": "MISSING_WORKSPACE", "description": _MISSING, "field": "configuration", "message": _MISSING}],
    "warnings": [],
}


def answer(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, response_only=True)


def body(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, request_only=True)
