"""/v6/recipes/."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from jobs import services, states
from jobs.models import Job, Recipe
from jobs.services.recipes import advance_recipe, cancel_recipe, reprocess_recipe
from jobtypes.services.recipe_types import edit_recipe_type
from tests.factories import make_customer_user
from tests.jobs.api.v6.answers import assert_error, each_of, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget
from tests.recipes import (
    CHAIN,
    FORK,
    after,
    definition_of,
    end,
    inside,
    job_node,
    job_of,
    make_file,
    make_recipe,
    make_recipe_type,
    output_of,
    recipe_node,
)

pytestmark = pytest.mark.django_db
PATH = "/v6/recipes/"
ZERO = {f"jobs_{status.lower()}": 0 for status in states.SHOWN_STATES}


def body_of(people: People, **wishes: Any) -> dict[str, Any]:
    """A body that the owner may post."""
    text = make_file(people.owner).pk
    if not {"recipe_type", "recipe_type_id"} & set(wishes):
        wishes["recipe_type"] = make_recipe_type(CHAIN).name
    return {"input": {"files": {"TEXT": [text]}}, **wishes}


def nodes_of(shown: dict[str, Any]) -> dict[str, str | None]:
    """The status of each node's job, null where it is not made."""
    return {node["name"]: node["job"] and node["job"]["status"] for node in shown["nodes"]}


def counts(shown: dict[str, Any]) -> dict[str, int]:
    return {name: shown[name] for name in ("jobs_total", *ZERO)}


# --- Making and looking --------------------------------------------------------------------------


def test_a_recipe_is_made_and_shown(people: People) -> None:
    recipe_type = make_recipe_type(CHAIN, "Texts")
    body = body_of(people, recipe_type_id=recipe_type.pk)
    response = people.owner.post(PATH, body)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert (made["customer"], made["owner"], made["cloud"], made["region"]) == ("acme", "owner", "local", "local")
    assert made["recipe_type"] == {"id": recipe_type.pk, "name": "texts", "title": "Texts", "revision_num": 1}
    assert made["recipe_type_rev"]["revision_num"] == 1
    assert made["input"] == {**body["input"], "json": {}}
    assert nodes_of(made) == {"a": "QUEUED", "b": "PENDING", "c": "PENDING"}
    assert counts(made) == {**ZERO, "jobs_total": 3, "jobs_queued": 1, "jobs_pending": 2}
    assert (made["is_completed"], made["is_canceled"], made["is_superseded"]) == (False, False, False)
    assert made["nodes"][1]["dependencies"] == [{"name": "a", "acceptance": True}]
    assert made["nodes"][0]["job"]["job_type"]["name"] == "count-words"
    assert good(people.colleague.get(f"{PATH}{made['uuid']}/")) == made
    job = good(people.owner.get(f"/v6/jobs/{made['nodes'][0]['job']['id']}/"))
    assert job["recipe"] == {"id": made["id"]}


def test_everything_may_be_said(people: People, settings: Any) -> None:
    recipe_type = make_recipe_type(CHAIN)
    edit_recipe_type(recipe_type.name, definition=FORK, actor=None)
    wishes = {
        "recipe_type": recipe_type.name,
        "recipe_type_revision": 1,
        "configuration": {"priority": 7},
        "customer": "somebody",
        "region": settings.LOCAL_REGION,
    }
    made = good(people.operator.post(PATH, body_of(people, **wishes)), 201)
    assert (made["customer"], made["configuration"]) == ("somebody", {"priority": 7})
    assert set(nodes_of(made)) == {"a", "b", "c"}
    assert set(Job.objects.values_list("priority", flat=True)) == {7}


def test_staff_who_say_no_customer_make_it_for_the_default_one(people: People, settings: Any) -> None:
    made = good(people.operator.post(PATH, body_of(people)), 201)
    assert made["customer"] == settings.DEFAULT_CUSTOMER


def test_nodes_show_what_conditions_have_found(people: People) -> None:
    recipe = make_recipe(make_recipe_type(FORK), people.owner)
    before = good(people.owner.get(f"{PATH}{recipe.pk}/"))
    assert nodes_of(before) == {"count": "QUEUED", "many": None, "long": None, "short": None, "after-long": None}
    assert not any(node["is_skipped"] for node in before["nodes"])
    end(recipe, "count", output=output_of(3))
    shown = {node["name"]: node for node in good(people.owner.get(f"{PATH}{recipe.pk}/"))["nodes"]}
    assert {name for name, node in shown.items() if node["is_skipped"]} == {"long", "after-long"}
    assert (shown["many"]["node_type"], shown["many"]["is_accepted"]) == ("condition", False)
    assert shown["short"]["job"]["status"] == "QUEUED"


def test_counts_take_in_recipes_inside(people: People) -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    nodes = {"in": recipe_node(inner.name), "last": job_node(needs=after("in"))}
    recipe = make_recipe(make_recipe_type(definition_of(nodes), "Outer"), people.owner)
    below = inside(recipe, "in")
    advance_recipe(below.pk)
    end(below, "a", status=states.FAILED)
    advance_recipe(recipe.pk)
    shown = good(people.owner.get(f"{PATH}{recipe.pk}/"))
    assert counts(shown) == {**ZERO, "jobs_total": 4, "jobs_failed": 1, "jobs_blocked": 3}
    assert (shown["sub_recipes_total"], shown["sub_recipes_completed"]) == (1, 0)
    node = shown["nodes"][0]
    assert (node["node_type"], node["recipe"]["id"], node["job"]) == ("recipe", below.pk, None)
    assert shown["nodes"][1]["job"]["reason"] == "PARENT_FAILED"
    assert good(people.owner.get(f"{PATH}{below.pk}/"))["recipe"] == {"id": recipe.pk}
    rows = {row["id"]: row for row in good(people.owner.get(PATH))["results"]}
    assert [rows[each]["jobs_total"] for each in (recipe.pk, below.pk)] == [4, 3]


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *each_of("recipe_type_id", "x", 0, 1.5, 5, None, True),
        *each_of("recipe_type_revision", 0, "1", 2**40, 9),
        *each_of("customer", "", 5, "x" * 256, "other"),
        *each_of("region", "", 5, "moon"),
        *each_of("input", "x", [], 5),
        *each_of("configuration", [], "x", {"mounts": {}}, {"priority": "1"}, {"priority": -1}),
        *each_of("colour", "red"),
    ],
)
def test_it_refuses_a_wrong_field_by_name(people: People, field: str, value: Any) -> None:
    response = people.owner.post(PATH, body_of(people, **{"recipe_type": make_recipe_type(CHAIN).name, field: value}))
    expected = 403 if (field, value) == ("customer", "other") else 400
    assert response.status_code == expected, response.content
    if expected == 400:
        faults = [each["field"] for each in response.json()["errors"]]
        assert any(each == field or each.startswith(f"{field}.") for each in faults), faults
    assert not Recipe.objects.exists()


@pytest.mark.parametrize("body", [[], "x", 5, None, b"{", b"\xff", {}, {"input": {}}])
def test_any_other_body_is_refused(people: People, body: Any) -> None:
    assert people.owner.post(PATH, body).status_code == 400


def test_a_recipe_type_that_is_not_there_or_not_active_is_refused(people: People) -> None:
    assert_error(people.owner.post(PATH, {"recipe_type": "none"}), 404)
    assert_error(people.owner.post(PATH, {"recipe_type_id": 10**9}), 404)
    inactive = make_recipe_type(is_active=False)
    assert_error(people.owner.post(PATH, body_of(people, recipe_type=inactive.name)), 400, field="recipe_type_id")


def test_files_of_others_are_refused(people: People) -> None:
    text = make_file(people.stranger).pk
    body = body_of(people, input={"files": {"TEXT": [text]}})
    assert_error(people.owner.post(PATH, body), 400, field="input.files.TEXT")


def test_a_repeated_post_with_a_key_makes_one(people: People) -> None:
    body = body_of(people)
    for _ in range(2):
        good(people.owner.post(PATH, body, headers={"Idempotency-Key": "k"}), 201)
    assert Recipe.objects.count() == 1


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_there_is_no_other_verb(people: People, method: str) -> None:
    recipe = make_recipe(owner=people.owner)
    assert getattr(people.owner.client, method)(f"{PATH}{recipe.pk}/").status_code == 405


# --- Stopping, and running anew ------------------------------------------------------------------


def test_a_recipe_is_canceled_once(people: People) -> None:
    recipe = make_recipe(owner=people.owner)
    for _ in range(2):
        shown = good(people.owner.post(f"{PATH}{recipe.pk}/cancel/"))
        assert (shown["is_canceled"], counts(shown)["jobs_canceled"]) == (True, 3)


def test_a_completed_recipe_is_not_canceled(people: People) -> None:
    recipe = make_recipe(make_recipe_type(definition_of({})), people.owner)
    assert_error(people.owner.post(f"{PATH}{recipe.pk}/cancel/"), 409, "RECIPE_STATE")


def test_a_recipe_is_run_anew(people: People) -> None:
    recipe = make_recipe(make_recipe_type(CHAIN), people.owner)
    end(recipe, "a")
    end(recipe, "b", status=states.FAILED)
    response = people.owner.post(f"{PATH}{recipe.pk}/reprocess/", {})
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert nodes_of(made) == {"a": "COMPLETED", "b": "QUEUED", "c": "PENDING"}
    assert [node["is_original"] for node in made["nodes"]] == [False, True, True]
    assert made["superseded_recipe"] == {"id": recipe.pk}
    old = good(people.owner.get(f"{PATH}{recipe.pk}/"))
    assert (old["is_superseded"], old["superseded_by_recipe"]) == (True, {"id": made["id"]})
    forced = {"forced_nodes": {"nodes": ["a"]}, "recipe_type_revision": 1}
    again = good(people.owner.post(f"{PATH}{made['id']}/reprocess/", forced), 201)
    assert nodes_of(again) == {"a": "QUEUED", "b": "PENDING", "c": "PENDING"}
    every = good(people.owner.post(f"{PATH}{again['id']}/reprocess/", {"forced_nodes": {"all": True}}), 201)
    assert_error(people.owner.post(f"{PATH}{again['id']}/reprocess/", {}), 409, "RECIPE_STATE")
    assert Counter(nodes_of(every).values()) == {"QUEUED": 1, "PENDING": 2}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recipe_type_revision", 9),
        ("recipe_type_revision", "x"),
        ("forced_nodes", []),
        ("forced_nodes", {"nodes": ["z"]}),
        ("forced_nodes", {"nodes": "a"}),
        ("forced_nodes", {"all": "yes"}),
        ("forced_nodes", {"sub_recipes": {}}),
        ("colour", "red"),
    ],
)
def test_running_anew_refuses_a_wrong_field_by_name(people: People, field: str, value: Any) -> None:
    recipe = make_recipe(owner=people.owner)
    body = good(people.owner.post(f"{PATH}{recipe.pk}/reprocess/", {field: value}), 400)
    assert body["errors"][0]["field"].split(".")[0] == field
    recipe.refresh_from_db()
    assert recipe.superseded_at is None


# --- Lists ---------------------------------------------------------------------------------------


def test_lists_are_filtered(people: People) -> None:
    chain, fork = make_recipe_type(CHAIN, "Chain"), make_recipe_type(FORK, "Fork")
    first, second = make_recipe(chain, people.owner), make_recipe(fork, people.colleague)
    done = make_recipe(make_recipe_type(definition_of({}), "Empty"), people.owner)
    cancel_recipe(second, actor=None)
    made = reprocess_recipe(first, actor=people.owner.user)
    every = {first.pk, second.pk, done.pk, made.pk}

    def found(**query: Any) -> set[int]:
        return set(listed(people.owner, PATH, **query))

    assert found() == every
    assert found(recipe_id=[first.pk, str(second.uuid)]) == {first.pk, second.pk}
    assert found(recipe_type_id=fork.pk) == {second.pk}
    assert found(recipe_type_name=["chain", "fork"]) == {first.pk, second.pk, made.pk}
    assert found(is_completed="true") == {done.pk}
    assert found(is_completed="false") == every - {done.pk}
    assert found(is_superseded="true") == {first.pk}
    assert found(is_canceled="true") == {first.pk, second.pk}
    assert found(owner="colleague") == {second.pk}
    assert found(customer="acme") == every
    assert found(parent=first.pk) == found(batch_id=1) == set()
    Recipe.objects.filter(pk=first.pk).update(modified_at=first.created_at - timedelta(days=2))
    assert found(ended="P1D") == {first.pk}
    assert found(started="P1D") == every - {first.pk}


def test_lists_are_ordered(people: People) -> None:
    made = [make_recipe(owner=people.owner).pk for _ in range(3)]
    Recipe.objects.filter(pk=made[0]).update(modified_at=Recipe.objects.get(pk=made[2]).modified_at + timedelta(days=1))
    assert listed(people.owner, PATH) == [made[1], made[2], made[0]]
    assert listed(people.owner, PATH, order="-created") == made[::-1]
    for order in ("completed", "canceled", "superseded", "recipe_type__name", "id"):
        assert sorted(listed(people.owner, PATH, order=order)) == made
    assert walk(people.owner, PATH, page_size=1, order="id")[0] == made


@pytest.mark.parametrize("query", [{"is_completed": "maybe"}, {"order": "input"}, {"colour": "red"}, {"started": "x"}])
def test_a_filter_that_makes_no_sense_is_refused(people: People, query: dict[str, str]) -> None:
    assert_error(people.owner.get(PATH, **query), 400, field=next(iter(query)))


# --- Who may -------------------------------------------------------------------------------------

READ = {"admin": 200, "operator": 200, "monitor": 200, "owner": 200, "colleague": 200, "stranger": 404}
CHANGE = {"admin": 200, "operator": 200, "monitor": 403, "owner": 200, "colleague": 403, "stranger": 404}
NOBODY = {"anonymous": 401, "disabled": 401}


@pytest.mark.parametrize("who", [*READ, *NOBODY])
def test_owners_and_operators_change_colleagues_and_monitors_read(people: People, who: str) -> None:
    recipe = make_recipe(owner=people.owner)
    person, path = people[who], f"{PATH}{recipe.pk}/"
    read, change = {**READ, **NOBODY}[who], {**CHANGE, **NOBODY}[who]
    assert person.get(path).status_code == read
    assert person.post(f"{path}cancel/").status_code == change
    assert person.post(f"{path}reprocess/", {}).status_code == (201 if change == 200 else change)
    rows = person.get(PATH)
    assert rows.status_code == NOBODY.get(who, 200)
    if rows.status_code == 200:
        assert bool(rows.json()["results"]) is (read == 200)


@pytest.mark.parametrize("who", [*READ, *NOBODY])
def test_who_may_have_jobs_may_have_recipes(people: People, who: str) -> None:
    body = body_of(people)
    if who == "stranger":
        body["input"] = {"files": {"TEXT": [make_file(people.stranger).pk]}}
    assert people[who].post(PATH, body).status_code == {"monitor": 403, **NOBODY}.get(who, 201)


@pytest.mark.parametrize("reference", ["999999999", "0192aaaa-0000-7000-8000-000000000000", "x"])
def test_there_is_no_such_recipe(people: People, reference: str) -> None:
    assert people.owner.get(f"{PATH}{reference}/").status_code == 404
    assert people.owner.post(f"{PATH}{reference}/cancel/").status_code == 404
    assert people.owner.post(f"{PATH}{reference}/reprocess/", {}).status_code == 404


# --- What it costs -------------------------------------------------------------------------------


def test_lists_cost_the_same_however_long_they_are(people: People) -> None:
    recipe_type = make_recipe_type(CHAIN)
    make_recipe(recipe_type, people.owner)
    good(people.operator.get(PATH))
    with within_budget("GET /v6/recipes/") as few:
        good(people.operator.get(PATH))
    for _ in range(3):
        make_recipe(recipe_type, make_customer_user())
    with counted() as many:
        good(people.operator.get(PATH))
    assert len(many) == len(few), str(many)


def test_one_recipe_and_a_new_one_are_within_their_budgets(people: People) -> None:
    body = body_of(people)
    made = good(people.owner.post(PATH, body), 201)
    with within_budget("GET /v6/recipes/{id}/"):
        good(people.owner.get(f"{PATH}{made['id']}/"))
    with within_budget("POST /v6/recipes/"):
        good(people.owner.post(PATH, body), 201)


def test_a_step_costs_the_same_however_many_jobs_it_queues(people: People) -> None:
    def step(count: int) -> int:
        nodes = {"a": job_node(), **{f"n{n}": job_node(needs=after("a")) for n in range(count)}}
        recipe = make_recipe(make_recipe_type(definition_of(nodes)), people.owner)
        job = job_of(recipe, "a")
        for status in (states.STARTING, states.RUNNING):
            services.move({job.pk: {}}, status)
        ended = {"ended_at": recipe.created_at, "output": output_of()}
        services.move({job.pk: ended}, states.COMPLETED, fields=("ended_at", "output"))
        with counted() as found:
            advance_recipe(recipe.pk)
        return sum("times:" not in each for each in found.texts)

    assert step(20) == step(2)
