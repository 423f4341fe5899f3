"""Examples of recipes, for the OpenAPI schema and the browsable API's forms."""

from __future__ import annotations

from typing import Any, Final

from jobs import states
from jobtypes.api.v6.examples import REVISION

_MOMENT: Final = "2026-03-01T12:00:00.250000Z"

BRIEF: Final = REVISION["job_type"]
NEW_RECIPE: Final[dict[str, Any]] = {"recipe_type": "read-texts", "input": {"files": {"TEXT": [17]}, "json": {}}}
REPROCESS: Final[dict[str, Any]] = {"forced_nodes": {"nodes": ["sum-up"]}}
RECIPE: Final[dict[str, Any]] = {
    "id": 5,
    "uuid": "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c05",
    "recipe_type": {"id": 4, "name": "read-texts", "title": "Read texts", "revision_num": 1},
    "recipe_type_rev": {"id": 9, "revision_num": 1},
    "recipe": None,
    "customer": "acme",
    "owner": "ada",
    "cloud": "local",
    "region": "local",
    "jobs_total": 2,
    **{f"jobs_{status.lower()}": 0 for status in states.SHOWN_STATES},
    "jobs_completed": 1,
    "jobs_queued": 1,
    "sub_recipes_total": 0,
    "sub_recipes_completed": 0,
    "is_completed": False,
    "is_canceled": False,
    "is_superseded": False,
    "superseded_recipe": None,
    "created": _MOMENT,
    "completed": None,
    "canceled": None,
    "superseded": None,
    "last_modified": _MOMENT,
    "event": None,
    "ingest_event": None,
    "batch": None,
}
_JOB: Final[dict[str, Any]] = {
    "id": 23,
    "uuid": "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c23",
    "job_type": BRIEF,
    "status": "COMPLETED",
    "state": "COMPLETED",
    "reason": "",
    "error": None,
    "started": _MOMENT,
    "ended": _MOMENT,
}
_NODE: Final[dict[str, Any]] = {
    "dependencies": [],
    "is_skipped": False,
    "is_original": True,
    "is_accepted": None,
    "job": None,
    "recipe": None,
}
RECIPE_DETAIL: Final[dict[str, Any]] = {
    **RECIPE,
    "superseded_by_recipe": None,
    "input": {"files": {"TEXT": [17]}, "json": {}},
    "configuration": {},
    "nodes": [
        {**_NODE, "name": "count", "node_type": "job", "job": _JOB},
        {
            **_NODE,
            "name": "many",
            "node_type": "condition",
            "dependencies": [{"name": "count", "acceptance": True}],
            "is_accepted": True,
        },
        {
            **_NODE,
            "name": "sum-up",
            "node_type": "job",
            "dependencies": [{"name": "many", "acceptance": True}],
            "job": {**_JOB, "id": 24, "status": "QUEUED", "state": "QUEUED", "started": None, "ended": None},
        },
    ],
}
