"""Scale v6: where we differ from the contract on purpose, and how each of its statuses is provoked.

The four statistics have tables of their own, in scale_v6_statistics.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import Client

from tests import factories
from tests.contracts import scale_v6_statistics as statistics

# The samples of the customer's own document.
SAMPLES: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("seed_003.json").read_text())
BODY: Final[dict[str, Any]] = SAMPLES["requests"]["POST /v6/job-types/"]

NAMES: Final = "/v6/job-type-names/"
LIST: Final = "/v6/job-types/"
VALIDATION: Final = "/v6/job-types/validation/"
VERSIONS: Final = "/v6/job-types/test/"
DETAIL: Final = "/v6/job-types/test/1.0.0/"
REVISIONS: Final = "/v6/job-types/test/1.0.0/revisions/"

# The contract leaves it open whether anybody may read without credentials; here nobody does.
SECURITY: Final[list[dict[str, list[str]]]] = [{"TokenHeader": []}, {"cookieAuth": []}]
# What the native surface says of a refusal beside `detail`, and a refused write besides: a verdict.
EXTRA_IN_REFUSALS: Final = frozenset({"code", "errors", "is_valid", "warnings"})
TWINS: Final[dict[str, str]] = {}

# --- Differences ---------------------------------------------------------------------------------

_NATIVE: Final = "of the whole native surface"
_SAID: Final = "its description says so"
_OPEN: Final = "whoever is signed in may read; what is not published does not exist to a customer"
_SEED: Final = "jobtypes/seed/schemas.py has the whole of it, and a refusal names the path"
_COLUMN: Final = "no column takes more"
_PLACES: Final = {f"status {status}: is ours": _NATIVE for status in (406, 500, 503)}
_READ: Final = {**_PLACES, "status 403: is missing": _OPEN}
_PAGES: Final = {
    **_READ,
    "query page: default 1 is None here": _SAID,
    "query page: minimum 1 is None here": _SAID,
    "query page_size: default 100 is None here": _SAID,
    "query page_size: minimum 1 is None here": _SAID,
    "query page_size: maximum 1000 is None here": _SAID,
    "query page_size: type integer is ['integer', 'string'] here": "what is no number counts as not given",
    "query after: is ours": _NATIVE,
    "query before: is ours": _NATIVE,
}
_ORDERED: Final = {**_PAGES, "query order: is ours": _NATIVE}
_CONFIGURATION: Final = {
    **{f"body.configuration.{name}: is missing": _SEED for name in ("mounts", "output_workspaces", "priority")},
    "body.configuration.settings: is missing": _SEED,
    "body.configuration: type object is ['null', 'object'] here": "null counts as not given",
}
_MANIFEST: Final = {f"body.manifest.{name}: is missing": _SEED for name in ("job", "seedVersion")}
_WRITE: Final = {**_PLACES, **{f"status {status}: is ours": _NATIVE for status in (413, 415)}}
_POST: Final = {
    **_WRITE,
    "header Idempotency-Key: is ours": _NATIVE,
    "status 409: is ours": _NATIVE,
    "status 422: is ours": _NATIVE,
}
_VALUES: Final = {
    "body.docker_image: maxLength None is 1024 here": _COLUMN,
    "body.icon_code: type string is ['null', 'string'] here": "null takes it away",
    "body.max_scheduled: maximum None is 2147483647 here": _COLUMN,
    "body.max_scheduled: type ['integer', 'null'] is ['integer', 'null', 'string'] here": "a number may be text",
}


def _orders(*names: str) -> dict[str, str]:
    both = sorted(sign + name for name in names for sign in ("", "-"))
    return {f"query order[]: enum None is {both} here": "another one is refused"}


_OF_NAMES: Final = ("name", "title", "icon_code", "is_published", "is_active", "is_paused", "is_system")
_OF_ROWS: Final = (
    *("id", "version", "max_scheduled", "max_tries", "revision_num", "docker_image"),
    *("created", "deprecated", "paused", "last_modified"),
)
# operation -> what differs -> why
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    **statistics.DIFFERENCES,
    "scale_list_job_type_names": {**_PAGES, **_orders(*_OF_NAMES, "latest_version")},
    "scale_list_job_types": {**_PAGES, **_orders(*_OF_NAMES, *_OF_ROWS)},
    "scale_create_job_type": {**_POST, **_VALUES, **_CONFIGURATION, **_MANIFEST},
    "scale_validate_job_type": {**_POST, **_CONFIGURATION, **_MANIFEST},
    "scale_list_job_type_versions": _ORDERED,
    "scale_get_job_type": _READ,
    "scale_edit_job_type": {
        **_WRITE, **_VALUES, **_CONFIGURATION, **_MANIFEST,
        "body: required True is False here": "without one nothing changes",
    },
    "scale_list_job_type_revisions": _ORDERED,
    "scale_get_job_type_revision": _READ,
}  # fmt: skip
# operation -> fields of its answers that the contract does not know (scale_v6.md, section 3)
EXTRA_FIELDS: Final[dict[str, frozenset[str]]] = {
    **statistics.EXTRA_FIELDS,
    "scale_list_job_type_names": frozenset(
        f"results.{name}" for name in ("is_active", "is_paused", "is_system", "unmet_resources")
    ),
    "scale_list_job_types": frozenset({"results.unmet_resources", "results.max_tries"}),
    "scale_list_job_type_versions": frozenset({"results.max_tries"}),
    "scale_list_job_type_revisions": frozenset({"results.job_type.is_system"}),
    "scale_get_job_type_revision": frozenset({"job_type.is_system"}),
}


# --- Provocations --------------------------------------------------------------------------------


class Scene:
    """A database with somebody of each kind, and the workspaces that the customer's samples name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operator = factories.make_operator()
        self.monitor = factories.make_monitor()
        self.customer = factories.make_customer_user()
        self.nobody = Client()
        for name in ("workspace_1", "workspace_2"):
            factories.make_workspace(name)

    def registered(self) -> Scene:
        """With the sample's job type, which a recipe type holds."""
        assert self.operator.post(LIST, {**BODY, "is_published": True}).status_code == 201
        return self


Provoke = Callable[[Scene], Any]
Table = dict[tuple[str, int], Provoke]


def _read(operation: str, path: str, missing: str) -> Table:
    return {
        (operation, 200): lambda scene: scene.registered().customer.get(path),
        (operation, 401): lambda scene: scene.nobody.get(path),
        (operation, 404): lambda scene: scene.registered().customer.get(missing),
    }


def _list(operation: str, path: str) -> Table:
    return {
        **_read(operation, path, f"{path}?page=9"),
        (operation, 400): lambda scene: scene.registered().customer.get(path, order="nonsense"),
    }


def _edited(scene: Scene, **wishes: Any) -> Any:
    return scene.registered().operator.patch(DETAIL, wishes)


def _forged(scene: Scene) -> Any:
    """From another site, in the name of somebody who is signed in here."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(scene.customer.user)
    return browser.post(VALIDATION, {"manifest": BODY["manifest"]}, content_type="application/json")


PROVOCATIONS: Final[Table] = {
    **statistics.PROVOCATIONS,
    **_list("scale_list_job_type_names", NAMES),
    **_list("scale_list_job_types", LIST),
    **_list("scale_list_job_type_versions", VERSIONS),
    **_list("scale_list_job_type_revisions", REVISIONS),
    **_read("scale_get_job_type", DETAIL, "/v6/job-types/test/1.0.1/"),
    **_read("scale_get_job_type_revision", f"{REVISIONS}1/", f"{REVISIONS}2/"),
    ("scale_create_job_type", 201): lambda scene: scene.operator.post(LIST, BODY),
    ("scale_create_job_type", 200): lambda scene: scene.registered().operator.post(LIST, BODY),
    ("scale_create_job_type", 400): lambda scene: scene.operator.post(LIST, {**BODY, "manifest": {}}),
    ("scale_create_job_type", 401): lambda scene: scene.nobody.post(LIST, BODY, content_type="application/json"),
    ("scale_create_job_type", 403): lambda scene: scene.monitor.post(LIST, BODY),
    ("scale_validate_job_type", 200): lambda scene: scene.customer.post(VALIDATION, {"manifest": BODY["manifest"]}),
    ("scale_validate_job_type", 400): lambda scene: scene.customer.post(VALIDATION, {}),
    ("scale_validate_job_type", 401): lambda scene: scene.nobody.post(VALIDATION, {}, content_type="application/json"),
    ("scale_validate_job_type", 403): _forged,
    ("scale_edit_job_type", 200): lambda scene: _edited(scene, is_active=False),
    ("scale_edit_job_type", 400): lambda scene: _edited(scene, configuration={"priority": 0}),
    ("scale_edit_job_type", 401): lambda scene: scene.nobody.patch(DETAIL, {}, content_type="application/json"),
    ("scale_edit_job_type", 403): lambda scene: scene.registered().monitor.patch(DETAIL, {}),
    ("scale_edit_job_type", 404): lambda scene: scene.operator.patch(DETAIL, {}),
}
