"""Examples of recipe types, for the OpenAPI schema and the browsable API's forms."""

from __future__ import annotations

from typing import Any, Final

from jobtypes.api.v6.examples import JOB_TYPE

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"

DEFINITION: Final[dict[str, Any]] = {
    "input": {"files": [{"name": "TEXT", "media_types": ["text/plain"]}]},
    "nodes": {
        "count": {
            "dependencies": [],
            "input": {"TEXT": {"type": "recipe", "input": "TEXT"}},
            "node_type": {
                "node_type": "job",
                "job_type_name": "count-words",
                "job_type_version": "1.0.0",
                "job_type_revision": 1,
            },
        },
        "many": {
            "dependencies": [{"name": "count"}],
            "input": {"total": {"type": "dependency", "node": "count", "output": "total"}},
            "node_type": {
                "node_type": "condition",
                "interface": {"json": [{"name": "total", "type": "integer"}]},
                "data_filter": {
                    "filters": [{"name": "total", "type": "integer", "condition": ">=", "values": [1000]}],
                    "all": True,
                },
            },
        },
        "sum-up": {
            "dependencies": [{"name": "many", "acceptance": True}],
            "input": {"TEXT": {"type": "recipe", "input": "TEXT"}},
            "node_type": {
                "node_type": "job",
                "job_type_name": "sum-up",
                "job_type_version": "1.0.0",
                "job_type_revision": 2,
            },
        },
    },
}
NEW_RECIPE_TYPE: Final[dict[str, Any]] = {
    "title": "Read texts",
    "description": "Counts the words of a text, and sums up a long one",
    "definition": DEFINITION,
}
SUMMARY: Final[dict[str, Any]] = {
    "id": 4,
    "name": "read-texts",
    "title": "Read texts",
    "description": "Counts the words of a text, and sums up a long one",
    "revision_num": 1,
    "is_active": True,
    "is_system": False,
    "created": _MOMENT,
    "deprecated": None,
    "last_modified": _MOMENT,
}
RECIPE_TYPE: Final[dict[str, Any]] = {
    **SUMMARY,
    "job_types": [{"name": "count-words", "version": "1.0.0"}, {"name": "sum-up", "version": "1.0.0"}],
    "sub_recipe_types": [],
}
RECIPE_TYPE_DETAIL: Final[dict[str, Any]] = {
    **SUMMARY,
    "definition": DEFINITION,
    "job_types": [JOB_TYPE],
    "sub_recipe_types": [],
    "super_recipe_types": [],
}
REVISION: Final[dict[str, Any]] = {"id": 9, "recipe_type": SUMMARY, "revision_num": 1, "created": _MOMENT}
REVISION_DETAIL: Final[dict[str, Any]] = {**REVISION, "definition": DEFINITION}
VERDICT: Final[dict[str, Any]] = {
    "is_valid": True,
    "errors": [],
    "warnings": [],
    "diff": {
        "nodes": {
            "count": {"status": "UNCHANGED", "reprocess_new_node": False, "changes": []},
            "sum-up": {
                "status": "CHANGED",
                "reprocess_new_node": True,
                "changes": [
                    {
                        "name": "REVISION",
                        "description": "It was sum-up 1.0.0 revision 1, and is sum-up 1.0.0 revision 2.",
                    }
                ],
            },
        }
    },
}
