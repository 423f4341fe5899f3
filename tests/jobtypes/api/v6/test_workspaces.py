"""/v6/workspaces/."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from pytest_django import Settings

from jobtypes.models import Workspace
from tests.factories import make_workspace
from tests.jobs.api.v6.answers import assert_error, each_body, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/workspaces/"
BUCKET: dict[str, Any] = {
    "broker": {
        "type": "s3",
        "bucket_name": "raw-data",
        "credentials": {"access_key_id": "AKIA1", "secret_access_key": "not-for-everybody"},
    }
}
NEW: dict[str, Any] = {"title": "Raw data", "configuration": BUCKET}


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> dict[str, Any]:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return {"broker": {"type": "host", "host_path": str(tmp_path)}}


def test_a_workspace_is_made_shown_and_changed(people: People) -> None:
    wish = {**NEW, "name": "raw", "description": "What comes in", "base_url": "https://files.example.com/raw"}
    response = people.operator.post(PATH, wish)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert {**made, **wish, "configuration": made["configuration"]} == made
    assert (made["is_active"], made["deprecated"]) == (True, None)
    assert made["configuration"]["broker"]["credentials"] == {"access_key_id": "AKIA1", "secret_access_key": "*****"}
    assert good(people.monitor.get(f"{PATH}raw")) == good(people.admin.get(f"{PATH}{made['id']}/")) == made
    masked = made["configuration"]["broker"] | {"prefix": "in"}
    answer = people.admin.patch(
        f"{PATH}raw/", {"title": "Raw", "is_active": False, "configuration": {"broker": masked}}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    changed = good(people.operator.get(f"{PATH}raw/"))
    assert (changed["title"], changed["is_active"], changed["description"]) == ("Raw", False, "What comes in")
    assert changed["deprecated"] == changed["last_modified"] > made["last_modified"]
    assert changed["configuration"]["broker"]["prefix"] == "in"


def test_scales_own_body_makes_one_that_is_called_by_its_title(people: People) -> None:
    made = [good(people.operator.post(PATH, NEW), 201)["name"] for _ in range(2)]
    assert made[0] == "raw-data"
    assert made[1].startswith("raw-data-")


def test_only_staff_see_where_the_files_are(people: People) -> None:
    good(people.operator.post(PATH, {**NEW, "name": "raw"}), 201)
    for who in ("owner", "stranger"):
        shown = people[who].get(f"{PATH}raw/")
        assert "configuration" not in good(shown)
        assert b"raw-data" not in shown.content.replace(b'"name":"raw"', b"")
    for who in ("admin", "operator", "monitor", "owner"):
        for path in (PATH, f"{PATH}raw/"):
            assert b"not-for-everybody" not in people[who].get(path).content
    assert "configuration" not in good(people.admin.get(PATH))["results"][0]


def test_what_no_key_reads_any_more_is_null(people: People, settings: Settings) -> None:
    good(people.operator.post(PATH, {**NEW, "name": "raw"}), 201)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert good(people.operator.get(f"{PATH}raw/"))["configuration"] is None


@pytest.mark.parametrize(
    ("who", "read", "write"),
    [
        *[(who, 200, True) for who in ("admin", "operator")],
        *[(who, 200, False) for who in ("monitor", "owner", "colleague", "stranger")],
        *[(who, 401, False) for who in ("disabled", "anonymous")],
    ],
)
def test_everybody_reads_workspaces_and_operators_write_them(
    people: People, folder: dict[str, Any], who: str, read: int, write: bool
) -> None:
    make_workspace("raw", configuration=folder)
    person, refusal = people[who], read if read == 401 else 403
    assert person.get(PATH).status_code == read
    assert person.get(f"{PATH}raw/").status_code == read
    assert person.post(PATH, {**NEW, "configuration": folder}).status_code == (201 if write else refusal)
    assert person.patch(f"{PATH}raw/", {"title": "x"}).status_code == (204 if write else refusal)
    assert person.post(f"{PATH}validation/", {**NEW, "configuration": folder}).status_code == (
        200 if write else refusal
    )
    assert Workspace.objects.filter(title="x").exists() == write


@pytest.mark.parametrize(
    ("field", "body"),
    [
        *each_body("title", "title", NEW, None, "", 7, "a" * 129, "a\0", "\ud800"),
        *each_body("name", "name", NEW, None, "", 7, "a b", "12", "validation", "a" * 51, "taken"),
        *each_body("description", "description", NEW, None, 7, "a" * 501),
        *each_body("base_url", "base_url", NEW, None, 7, "nowhere", "javascript:alert(1)"),
        *each_body("is_active", "is_active", NEW, None, 0, "yes"),
        *each_body("configuration", "configuration", NEW, None, 7, "a", [], {"broker": "a" * 100_000}),
        *each_body("configuration.broker", "configuration", NEW, {}, {"broker": None}, {"broker": 7}),
        *each_body("configuration.other", "configuration", NEW, {**BUCKET, "other": 1}),
        *each_body("configuration.broker.type", "configuration", NEW, {"broker": {}}, {"broker": {"type": ["s3"]}}),
        *each_body(
            "configuration.broker.host_path",
            "configuration",
            NEW,
            *(
                {"broker": {"type": "host", "host_path": path}}
                for path in (None, 7, "", "a", "/", "/etc", "/\0", "/é/..")
            ),
        ),
        ("title", {"configuration": BUCKET}),
        ("configuration", {"title": "a"}),
        ("nonsense", {**NEW, "nonsense": 1}),
    ],
)
def test_bad_input_is_refused_by_name(people: People, field: str, body: dict[str, Any]) -> None:
    make_workspace("taken", configuration=BUCKET)
    assert_error(people.operator.post(PATH, body), 400, field=field)
    assert Workspace.objects.count() == 1
    if field not in ("name", "nonsense") and field in body:
        assert_error(people.operator.patch(f"{PATH}taken/", {field: body[field]}), 400, field=field)


def test_a_name_stays_as_it_is(people: People) -> None:
    make_workspace("raw", configuration=BUCKET)
    assert_error(people.operator.patch(f"{PATH}raw/", {"name": "other"}), 400, field="name")


@pytest.mark.parametrize("reference", ["none", "0", "9" * 18])
def test_what_is_not_there_is_not_found(people: People, reference: str) -> None:
    assert_error(people.admin.get(f"{PATH}{reference}/"), 404, "NOT_FOUND")
    assert_error(people.admin.patch(f"{PATH}{reference}/", {"title": "x"}), 404, "NOT_FOUND")


def test_a_made_workspace_is_made_once_per_key(people: People) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    first, again = (good(people.operator.post(PATH, NEW, **key), 201) for _ in range(2))
    assert first == again
    assert Workspace.objects.count() == 1


# --- Lists -------------------------------------------------------------------------------------------


def test_the_list_is_ordered_filtered_and_walked(people: People) -> None:
    made = {name: make_workspace(name, configuration=BUCKET, title=name[::-1]) for name in ("c", "a", "b")}
    Workspace.objects.filter(name="c").update(modified_at=timezone.now() - timedelta(days=2))
    good_ids = [made[name].pk for name in ("a", "b", "c")]
    assert listed(people.owner, PATH) == good_ids
    assert listed(people.owner, PATH, order="-name") == good_ids[::-1]
    assert listed(people.owner, PATH, order="last_modified")[0] == made["c"].pk
    assert listed(people.owner, PATH, name=["a", "c"]) == [made["a"].pk, made["c"].pk]
    assert listed(people.owner, PATH, started="P1D") == [made["a"].pk, made["b"].pk]
    assert listed(people.owner, PATH, ended="P1D") == [made["c"].pk]
    assert listed(people.owner, PATH, is_active="false") == []
    assert walk(people.owner, PATH, page_size=1)[0] == good_ids
    for name in ("name", "started", "order", "nonsense", "is_active"):
        value = "a\0" if name == "name" else "x"
        assert_error(people.owner.get(PATH, **{name: value}), 400, field=name)


def test_a_list_costs_the_same_however_long_it_is(people: People) -> None:
    owner = people.owner
    for number in range(3):
        make_workspace(f"w{number}", configuration=BUCKET)
    with counted() as few:
        listed(owner, PATH)
    for number in range(3, 20):
        make_workspace(f"w{number}", configuration=BUCKET)
    with within_budget("GET /v6/workspaces/") as many:
        assert len(listed(owner, PATH)) == 20
    assert len(few) == len(many)


# --- Validation --------------------------------------------------------------------------------------


def test_a_verdict_is_given_and_nothing_saved(people: People, folder: dict[str, Any]) -> None:
    path = f"{PATH}validation/"
    well = {"is_valid": True, "errors": [], "warnings": []}
    assert good(people.operator.post(path, {"title": "Raw", "configuration": folder})) == well
    broken = {"broker": {"type": "host", "host_path": folder["broker"]["host_path"] + "/missing"}}
    verdict = good(people.operator.post(path, {"title": "Raw", "configuration": broken}))
    assert (verdict["is_valid"], [each["name"] for each in verdict["errors"]]) == (False, ["WORKSPACE_UNREACHABLE"])
    verdict = good(people.operator.post(path, {"title": "Raw", "configuration": {"broker": {"type": "tape"}}}))
    assert [each["name"] for each in verdict["errors"]] == ["INVALID_CONFIGURATION"]
    assert_error(people.operator.post(path, {"title": "Raw"}), 400, field="configuration")
    assert people.operator.get(path).status_code == 405
    assert not Workspace.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([None, None], ""),
        ([], ""),
        ({**NEW, "configuration": [None, None]}, "configuration"),
        ({**NEW, "configuration": "broker"}, "configuration"),
        ({**NEW, "configuration": None}, "configuration"),
    ],
)
def test_what_is_no_object_is_refused_by_name_and_not_judged(people: People, body: Any, field: str) -> None:
    for path in (f"{PATH}validation/", PATH):
        assert_error(people.operator.post(path, body), 400, "INVALID_REQUEST", field=field)
    assert not Workspace.objects.exists()
