"""/v6/recipe-types/."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from jobtypes.models import RecipeType
from jobtypes.services.job_types import edit_job_type
from tests.jobs.api.v6.answers import assert_error, each_of, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget
from tests.recipes import CHAIN, FORK, definition_of, follower, job_node, make_counter, make_recipe_type, recipe_node

pytestmark = pytest.mark.django_db
PATH = "/v6/recipe-types/"
NEW: dict[str, Any] = {"title": "Read texts", "description": "All of them", "definition": CHAIN}
BAD: dict[str, Any] = definition_of({"a": job_node("none")})


def refusal(response: Any, name: str, field: str = "definition") -> None:
    """A 400 that is a verdict, too."""
    body = good(response, 400)
    assert (body["is_valid"], body["warnings"]) == (False, [])
    assert [(each["name"], each["field"]) for each in body["errors"]] == [(name, field)], body
    assert body["detail"]


def test_a_recipe_type_is_made_and_shown(people: People) -> None:
    make_counter()
    response = people.operator.post(PATH, NEW)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}read-texts/"
    assert {**made, **NEW, "definition": made["definition"]} == made
    assert (made["name"], made["revision_num"], made["is_active"], made["deprecated"]) == ("read-texts", 1, True, None)
    assert made["definition"]["nodes"]["b"]["node_type"]["job_type_revision"] == 1
    assert [(each["name"], each["version"]) for each in made["job_types"]] == [("count-words", "1.0.0")]
    assert (made["sub_recipe_types"], made["super_recipe_types"]) == ([], [])
    assert good(people.monitor.get(f"{PATH}read-texts/")) == made


def test_the_list_says_what_each_is_made_of(people: People) -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    make_recipe_type(definition_of({"in": recipe_node(inner.name)}), "Outer")
    rows = good(people.operator.get(PATH))["results"]
    assert [row["name"] for row in rows] == ["inner", "outer"]
    assert rows[0]["job_types"] == [{"name": "count-words", "version": "1.0.0"}]
    assert (rows[0]["sub_recipe_types"], rows[1]["sub_recipe_types"]) == ([], ["inner"])
    assert "definition" not in rows[0]
    shown = good(people.operator.get(f"{PATH}inner/"))
    assert [each["name"] for each in shown["super_recipe_types"]] == ["outer"]
    assert [each["name"] for each in good(people.operator.get(f"{PATH}outer/"))["sub_recipe_types"]] == ["inner"]


def test_an_edit_answers_with_a_verdict_and_what_has_changed(people: People) -> None:
    made = make_recipe_type(CHAIN)
    path = f"{PATH}{made.name}/"
    wanted = definition_of({"a": job_node(), "b": follower("a")})
    told = good(people.operator.patch(path, {"definition": wanted}))
    assert (told["is_valid"], told["errors"], told["warnings"]) == (True, [], [])
    assert {name: each["status"] for name, each in told["diff"]["nodes"].items()} == {
        "a": "UNCHANGED", "b": "UNCHANGED", "c": "DELETED",
    }  # fmt: skip
    good(people.admin.patch(path, {"title": "Other", "description": ""}))
    shown = good(people.operator.get(path))
    assert (shown["title"], shown["description"], shown["revision_num"]) == ("Other", "", 2)
    assert good(people.operator.patch(path, {}))["is_valid"]


def test_deactivating_one_tells_of_those_above(people: People) -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    make_recipe_type(definition_of({"in": recipe_node(inner.name)}), "Outer")
    told = good(people.operator.patch(f"{PATH}inner/", {"is_active": False}))
    assert [each["name"] for each in told["warnings"]] == ["DEPRECATED_RECIPES"]
    assert good(people.operator.get(PATH, is_active="false"))["count"] == 2
    assert good(people.operator.get(f"{PATH}inner/"))["deprecated"] is not None


def test_revisions_are_kept_the_newest_first(people: People) -> None:
    counter, made = make_counter(), make_recipe_type(CHAIN)
    edit_job_type(counter, docker_image="count:2", actor=None)
    path = f"{PATH}{made.name}/revisions/"
    rows = good(people.owner.get(path))["results"]
    assert [row["revision_num"] for row in rows] == [2, 1]
    assert rows[0]["recipe_type"]["name"] == made.name
    assert "definition" not in rows[0]
    for number in (1, 2):
        shown = good(people.owner.get(f"{path}{number}/"))
        assert shown["definition"]["nodes"]["a"]["node_type"]["job_type_revision"] == number
    assert_error(people.owner.get(f"{path}3/"), 404)
    assert_error(people.owner.get(f"{path}{10**17}/"), 404)
    assert_error(people.owner.get(f"{PATH}none/revisions/"), 404)
    assert_error(people.owner.get(f"{PATH}none/revisions/1/"), 404)


def test_validation_judges_and_saves_nothing(people: People) -> None:
    make_counter()
    told = good(people.owner.post(f"{PATH}validation/", {"definition": CHAIN}))
    assert (told["is_valid"], {each["status"] for each in told["diff"]["nodes"].values()}) == (True, {"NEW"})
    told = good(people.owner.post(f"{PATH}validation/", {"definition": BAD}))
    assert (told["is_valid"], told["diff"]) == (False, {"nodes": {}})
    assert [each["name"] for each in told["errors"]] == ["UNKNOWN_JOB_TYPE"]
    assert not RecipeType.objects.exists()
    made = make_recipe_type(CHAIN)
    told = good(people.owner.post(f"{PATH}validation/", {"name": made.name, "definition": CHAIN}))
    assert {each["status"] for each in told["diff"]["nodes"].values()} == {"UNCHANGED"}
    assert_error(people.owner.post(f"{PATH}validation/", {"name": "none", "definition": CHAIN}), 404)
    assert_error(people.owner.post(f"{PATH}validation/", {}), 400, field="definition")


# --- Refusals ------------------------------------------------------------------------------------


def test_a_refused_definition_is_a_verdict_and_changes_nothing(people: People) -> None:
    made = make_recipe_type(CHAIN)
    refusal(people.operator.post(PATH, {**NEW, "definition": BAD}), "UNKNOWN_JOB_TYPE")
    refusal(people.operator.patch(f"{PATH}{made.name}/", {"title": "x", "definition": BAD}), "UNKNOWN_JOB_TYPE")
    assert RecipeType.objects.get().title == made.title


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *each_of("title", None, "", 5, "x" * 129, "Validation", "!!!", "Taken"),
        *each_of("description", 5, "x" * 501),
        *each_of("definition", None, [], "{}", 5),
        *each_of("is_active", "yes", 1, None),
        ("name", "other"),
    ],
)
def test_it_refuses_a_wrong_field_by_name(people: People, field: str, value: Any) -> None:
    make_recipe_type(CHAIN, "Taken")
    body = good(people.operator.post(PATH, {**NEW, field: value}), 400)
    assert [each["field"] for each in body["errors"]] == [field]
    assert RecipeType.objects.count() == 1


@pytest.mark.parametrize("body", [[], "x", 5, None, b"{", b"\xff", b'{"title": NaN}'])
def test_any_other_body_is_refused(people: People, body: Any) -> None:
    made = make_recipe_type(CHAIN)
    for response in (
        people.operator.post(PATH, body),
        people.operator.post(f"{PATH}validation/", body),
        people.operator.patch(f"{PATH}{made.name}/", body),
    ):
        assert response.status_code == 400


@pytest.mark.parametrize("missing", ["title", "definition"])
def test_it_needs_a_title_and_a_definition(people: People, missing: str) -> None:
    body = good(people.operator.post(PATH, {name: value for name, value in NEW.items() if name != missing}), 400)
    assert [each["field"] for each in body["errors"]] == [missing]


@pytest.mark.parametrize("method", ["put", "delete"])
def test_there_is_no_other_verb(people: People, method: str) -> None:
    made = make_recipe_type(CHAIN)
    assert getattr(people.operator.client, method)(f"{PATH}{made.name}/").status_code == 405


def test_a_repeated_post_with_a_key_makes_one(people: People) -> None:
    make_counter()
    for _ in range(2):
        good(people.operator.post(PATH, NEW, headers={"Idempotency-Key": "k"}), 201)
    assert RecipeType.objects.count() == 1


# --- Lists ---------------------------------------------------------------------------------------


def test_lists_are_filtered_and_ordered(people: People) -> None:
    first, second = make_recipe_type(CHAIN, "Alpha beta", description="gamma"), make_recipe_type(FORK, "Delta")
    third = make_recipe_type(CHAIN, "Zeta", is_active=False)
    assert listed(people.owner, PATH, keyword="BETA") == [first.pk]
    assert listed(people.owner, PATH, keyword=["gam", "zet"]) == [first.pk, third.pk]
    assert listed(people.owner, PATH, id=second.pk) == [second.pk]
    assert listed(people.owner, PATH, name="delta") == [second.pk]
    assert listed(people.owner, PATH, is_active="true") == [first.pk, second.pk]
    assert listed(people.owner, PATH, is_system="true") == []
    assert listed(people.owner, PATH, order="-name") == [third.pk, second.pk, first.pk]
    RecipeType.objects.filter(pk=first.pk).update(modified_at=first.modified_at + timedelta(days=1))
    assert listed(people.owner, PATH, order="-last_modified")[0] == first.pk
    assert walk(people.owner, PATH, page_size=1)[0] == [first.pk, second.pk, third.pk]


@pytest.mark.parametrize("query", [{"is_active": "maybe"}, {"order": "definition"}, {"colour": "red"}, {"id": "x"}])
def test_a_filter_that_makes_no_sense_is_refused(people: People, query: dict[str, str]) -> None:
    assert_error(people.owner.get(PATH, **query), 400, field=next(iter(query)))


# --- Who may -------------------------------------------------------------------------------------

READERS = ("admin", "operator", "monitor", "owner", "colleague", "stranger")
WRITERS = ("admin", "operator")


@pytest.mark.parametrize("who", [*READERS, "anonymous", "disabled"])
def test_everybody_reads_and_operators_write(people: People, who: str) -> None:
    made = make_recipe_type(CHAIN, "Texts")
    person = people[who]
    reads = [PATH, f"{PATH}texts/", f"{PATH}texts/revisions/", f"{PATH}texts/revisions/1/"]
    statuses = {person.get(path).status_code for path in reads}
    statuses |= {person.post(f"{PATH}validation/", {"definition": CHAIN}).status_code}
    assert statuses == ({200} if who in READERS else {401})
    refused = 401 if who not in READERS else 403
    assert person.post(PATH, NEW).status_code == (201 if who in WRITERS else refused)
    assert person.patch(f"{PATH}texts/", {"title": "Other"}).status_code == (200 if who in WRITERS else refused)
    made.refresh_from_db()
    assert made.title == ("Other" if who in WRITERS else "Texts")


# --- What it costs -------------------------------------------------------------------------------


def test_lists_cost_the_same_however_long_they_are(people: People) -> None:
    make_recipe_type(FORK)
    good(people.operator.get(PATH))
    with within_budget("GET /v6/recipe-types/") as few:
        good(people.operator.get(PATH))
    for _ in range(3):
        make_recipe_type(copy.deepcopy(FORK))
    with counted() as many:
        good(people.operator.get(PATH))
    assert len(many) == len(few), str(many)


def test_one_recipe_type_is_within_its_budget(people: People) -> None:
    made = make_recipe_type(FORK)
    good(people.operator.get(PATH))
    with within_budget("GET /v6/recipe-types/{name}/"):
        good(people.operator.get(f"{PATH}{made.name}/"))
    with within_budget("GET /v6/recipe-types/{name}/revisions/"):
        good(people.operator.get(f"{PATH}{made.name}/revisions/"))
