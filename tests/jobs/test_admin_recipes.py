"""Recipes in the admin: found, shown as they stand, stopped and run anew by who may."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event
from jobs import states
from jobs.admin.recipes import RecipeAdmin
from jobs.models import Job, Recipe
from jobs.services.recipes import advance_recipe, cancel_recipe, reprocess_recipe
from jobtypes.services.recipe_types import edit_recipe_type
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import make_customer_user
from tests.query_budget import within_budget
from tests.recipes import (
    CHAIN,
    FORK,
    after,
    definition_of,
    end,
    follower,
    inside,
    job_of,
    make_recipe,
    make_recipe_type,
    output_of,
    recipe_node,
)

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/recipe/"


def _page(row: Recipe, page: str = "change") -> str:
    return reverse(f"admin:jobs_recipe_{page}", args=[row.pk])


def _text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def _told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def _listed(client: Client, **parameters: Any) -> list[int]:
    answer = client.get(LIST, parameters)
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


def _done(recipe: Recipe) -> Recipe:
    """A chain with all its nodes completed."""
    for node in "abc":
        end(recipe, node)
    assert recipe.completed_at is not None
    return recipe


def _nested() -> Recipe:
    """A recipe with another inside it, which has begun."""
    inner = make_recipe_type(CHAIN)
    outer = make_recipe(make_recipe_type(definition_of({"inner": recipe_node(inner.name)})))
    advance_recipe(inside(outer, "inner").pk)
    return outer


# --- Who may -------------------------------------------------------------------------------------


def test_all_staff_see_list_and_page_and_others_none() -> None:
    row = make_recipe()
    for role in STAFF:
        assert all(str(row.uuid) in _text(browser(role), path) for path in (LIST, _page(row)))
    for role in OTHERS:
        for path in (LIST, _page(row)):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


@pytest.mark.parametrize("name", ["cancel", "reprocess"])
def test_who_may_not_gets_neither_button_nor_page_nor_deed(name: str) -> None:
    row = make_recipe()
    assert _page(row, name) not in _text(browser("monitor"), _page(row))
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        assert browser(role).get(_page(row, name)).status_code == status
        assert browser(role).post(_page(row, name), {"force_all": "on"}).status_code == status
    row.refresh_from_db()
    assert (row.canceled_at, row.superseded_at, Recipe.objects.count()) == (None, None, 1)


# --- The list ------------------------------------------------------------------------------------


def test_the_list_is_narrowed_by_type_customer_and_state() -> None:
    globex = make_customer_user(customer="globex")
    chain, fork = make_recipe_type(CHAIN, "Chain"), make_recipe_type(FORK, "Fork")
    done, other = _done(make_recipe(chain)), make_recipe(fork, globex)
    canceled = make_recipe(chain)
    cancel_recipe(canceled, actor=None)
    anew = reprocess_recipe(done, actor=somebody(), force_all=True)
    client = browser("monitor")
    assert _listed(client) == [anew.pk, canceled.pk, other.pk, done.pk]
    for parameters, expected in (
        ({"recipe_type": "fork"}, [other]),
        ({"recipe_type": "for"}, []),
        ({"customer": "globex"}, [other]),
        ({"customer": "nobody"}, []),
        ({"state": "open"}, [anew, other]),
        ({"state": "completed"}, [done]),
        ({"state": "canceled"}, [canceled]),
        ({"state": "superseded"}, [done]),
        ({"state": "nonsense"}, []),
        ({"state": "open", "recipe_type": "chain"}, [anew]),
        ({"q": str(other.pk)}, [other]),
        ({"q": str(other.uuid)}, [other]),
        ({"q": "words"}, []),
    ):
        assert _listed(client, **parameters) == [row.pk for row in expected], parameters
    assert client.get(LIST, {"owner__username": "x"}).status_code == 400


def test_the_list_says_how_far_each_is_and_how_it_stands() -> None:
    done = _done(make_recipe())
    reprocess_recipe(done, actor=somebody(), force_all=True)
    failed = make_recipe()
    end(failed, "a", status=states.FAILED)
    page = _text(browser("monitor"), LIST)
    for text in ("3 of 3 jobs completed", "0 of 3 jobs completed, 1 failed, 2 blocked", "COMPLETED</span>"):
        assert text in page
    assert "SUPERSEDED</span>" in page


def test_the_list_costs_the_same_with_more_recipes_and_pages_by_the_key() -> None:
    recipe_type, client, found = make_recipe_type(), browser("operator"), []
    ids = [make_recipe(recipe_type).pk for _ in range(5)][::-1]
    for size in (2, 5):
        with mock.patch.object(RecipeAdmin, "list_per_page", size), within_budget("admin: recipes") as statements:
            assert _listed(client) == ids[:size]
        found.append(len(statements))
        assert "OFFSET" not in str(statements)
        assert '"definition"' not in str(statements)
    assert found[0] == found[1]
    with mock.patch.object(RecipeAdmin, "list_per_page", 2):
        assert _listed(client, older=ids[1]) == ids[2:4]
        assert _listed(client, newer=ids[3]) == ids[1:3]


# --- The page ------------------------------------------------------------------------------------


def _rows(page: str) -> dict[str, str]:
    """Each node's status in the table."""
    return dict(
        re.findall(r"<tr><td>([\w-]+)</td><td>[^<]*</td><td><span class='cp-badge cp-\w+'>([^<]+)</span>", page)
    )


def test_a_page_shows_how_each_node_stands_and_leads_to_its_job() -> None:
    row = make_recipe(make_recipe_type(FORK))
    client = browser("monitor")
    unmade = dict.fromkeys(("many", "long", "short", "after-long"), "not made yet")
    assert _rows(_text(client, _page(row))) == {"count": "QUEUED", **unmade}
    end(row, "count", output=output_of(50))
    end(row, "long", status=states.FAILED)
    page = _text(client, _page(row))
    assert _rows(page) == {
        "count": "COMPLETED",
        "many": "accepted",
        "long": "FAILED",
        "short": "skipped",
        "after-long": "BLOCKED",
    }
    for text in (
        "Waits for long, which is FAILED.",
        "A condition has refused it.",
        "1 of 3 jobs completed, 1 failed, 1 blocked",
        "cp-node cp-bad",
        "cp-node cp-good",
        "refused</text>",
    ):
        assert text in page
    # In the drawing and in the table.
    assert page.count(f"href='{reverse('admin:jobs_job_change', args=[job_of(row, 'long').pk])}'") == 2


def test_a_node_that_waits_for_several_says_so_before_it_is_made() -> None:
    row = make_recipe(make_recipe_type(FORK))
    page = _text(browser("monitor"), _page(row))
    assert "Waits for count, which is QUEUED." in page
    assert "Waits for many, which is not made yet." in page


def test_a_node_whose_input_is_missing_says_so() -> None:
    row = make_recipe()
    end(row, "a", output={"files": {}, "json": {}})
    assert job_of(row, "b").status == states.BLOCKED
    assert "was not among the outputs" in _text(browser("monitor"), _page(row))


def test_a_page_leads_to_all_that_is_around_it() -> None:
    outer = _nested()
    row = inside(outer, "inner")
    client = browser("admin")
    page = _text(client, _page(row))
    compare = reverse("admin:jobtypes_recipetype_compare", args=[row.recipe_type_id])
    for url in (
        reverse("admin:jobtypes_recipetype_change", args=[row.recipe_type_id]),
        f"{compare}?after=1",
        reverse("admin:accounts_customer_change", args=[row.customer_id]),
        reverse("admin:accounts_user_change", args=[row.owner_id]),
        _page(outer),
    ):
        assert f"href='{url}'" in page, url
        assert client.get(url).status_code == 200
    page = _text(browser("monitor"), _page(outer))
    assert page.count(f"href='{_page(row)}'") == 2
    assert "0 of 1 completed" in page
    # A page that a monitor may not open is not linked.
    assert "/admin/accounts/user/" not in re.sub(r"(?s)<aside.*?</aside>", "", page).split("What it is")[1]


def test_what_is_taken_over_is_told_and_what_superseded_what() -> None:
    old = make_recipe()
    end(old, "a")
    made = reprocess_recipe(old, actor=somebody())
    client = browser("monitor")
    page = _text(client, _page(made))
    assert re.search(
        rf"job {job_of(old, 'a').pk}</a>, taken over from <a href='{_page(old)}'>recipe {old.pk}</a>", page
    )
    assert "<dt>Supersedes</dt>" in page
    page = _text(client, _page(old))
    assert re.search(rf"<dt>Superseded by</dt><dd><a href='{_page(made)}'>", page)


def test_input_and_configuration_are_shown() -> None:
    page = _text(browser("monitor"), _page(make_recipe(configuration={"priority": 77})))
    assert "&quot;priority&quot;: 77" in page
    assert "&quot;TEXT&quot;" in page


def test_a_page_costs_the_same_however_many_nodes_there_are() -> None:
    nodes = {"a": CHAIN["nodes"]["a"], **{f"b{number}": follower("a") for number in range(12)}}
    client, found = browser("operator"), []
    for definition in (CHAIN, definition_of(nodes)):
        row = make_recipe(make_recipe_type(definition))
        end(row, "a", status=states.FAILED)
        with within_budget("admin: recipe page") as statements:
            _text(client, _page(row))
        found.append(len(statements))
    assert found[0] == found[1]


def test_its_history_is_in_the_event_log() -> None:
    row = make_recipe()
    make_recipe()
    page = text_of(browser("monitor").get(_page(row, "history")))
    assert page.count("recipe.created") == 1


# --- Cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_cancel_says_what_it_stops_and_stops_it(role: str) -> None:
    row = _nested()
    client = browser(role)
    assert _page(row, "cancel") in _text(client, _page(row))
    assert "3 jobs of it" in _text(client, _page(row, "cancel"))
    assert not Job.objects.filter(status=states.CANCELED).exists()
    answer = client.post(_page(row, "cancel"), follow=True)
    assert "Canceled: 3 jobs" in _told(answer)
    assert not Job.objects.exclude(status=states.CANCELED).exists()
    row.refresh_from_db()
    assert row.canceled_at is not None
    assert Event.objects.get(kind="recipe.canceled", subject_id=row.pk).actor == somebody(role)
    assert "CANCELED" in answer.content.decode()
    assert client.post(_page(row, "cancel")).status_code == 403


def test_to_cancel_what_is_inside_another_warns_of_that() -> None:
    outer = _nested()
    client = browser("operator")
    assert f"part of recipe {outer.pk}" in _text(client, _page(inside(outer, "inner"), "cancel"))
    assert "It is part of" not in _text(client, _page(outer, "cancel"))


def test_what_is_completed_cannot_be_canceled() -> None:
    row, client = _done(make_recipe()), browser("operator")
    assert _page(row, "cancel") not in _text(client, _page(row))
    assert client.post(_page(row, "cancel")).status_code == 403


# --- Reprocess -----------------------------------------------------------------------------------


def _made(row: Recipe) -> Recipe:
    return Recipe.objects.get(supersedes=row)


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_reprocess_runs_anew_what_is_not_done(role: str) -> None:
    row, client = make_recipe(), browser(role)
    end(row, "a")
    page = _text(client, _page(row, "reprocess"))
    assert "It ran revision 1; the newest is 1." in page
    assert "2 jobs of it that have not ended are stopped." in page
    answer = client.post(_page(row, "reprocess"), {}, follow=True)
    made = _made(row)
    assert f"href='{_page(made)}'" in _told(answer)
    assert job_of(made, "a") == job_of(row, "a")
    assert job_of(made, "b") != job_of(row, "b")
    assert Event.objects.get(kind="recipe.created", subject_id=made.pk).actor == somebody(role)
    assert client.post(_page(row, "reprocess")).status_code == 403


def test_nodes_can_be_forced_one_in_a_line() -> None:
    row = _done(make_recipe())
    browser("operator").post(_page(row, "reprocess"), {"forced_nodes": " b \r\n\r\n"})
    made = _made(row)
    assert job_of(made, "a") == job_of(row, "a")
    assert job_of(made, "b") != job_of(row, "b")


def test_all_nodes_can_be_forced_and_a_revision_named() -> None:
    recipe_type = make_recipe_type()
    row = _done(make_recipe(recipe_type))
    longer = {**CHAIN, "nodes": {**CHAIN["nodes"], "d": {**follower("c"), "dependencies": after("c")}}}
    edit_recipe_type(recipe_type.name, definition=longer, actor=None)
    client = browser("operator")
    assert "It ran revision 1; the newest is 2." in _text(client, _page(row, "reprocess"))
    client.post(_page(row, "reprocess"), {"force_all": "on", "recipe_type_revision": "1"})
    made = _made(row)
    assert made.revision.revision_num == 1
    assert job_of(made, "a") != job_of(row, "a")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"recipe_type_revision": "7"}, "recipe_type_revision"),
        ({"recipe_type_revision": "0"}, "recipe_type_revision"),
        ({"recipe_type_revision": "x"}, "recipe_type_revision"),
        ({"forced_nodes": "a\nnothing"}, "forced_nodes"),
        ({}, "forced_nodes"),
    ],
)
def test_what_is_refused_is_shown_at_its_field(wish: dict[str, str], field: str) -> None:
    row = _done(make_recipe())
    answer = browser("operator").post(_page(row, "reprocess"), wish)
    assert answer.status_code == 200
    assert set(answer.context["form"].errors) == {field}
    row.refresh_from_db()
    assert (row.superseded_at, Recipe.objects.count()) == (None, 1)


def test_what_cannot_be_run_anew_has_no_button() -> None:
    outer = _nested()
    client = browser("operator")
    inner = inside(outer, "inner")
    assert client.post(_page(inner, "reprocess")).status_code == 403
    edit_recipe_type(outer.recipe_type.name, is_active=False, actor=None)
    assert client.post(_page(outer, "reprocess")).status_code == 403
    for row in (inner, outer):
        assert _page(row, "reprocess") not in _text(client, _page(row))


def test_an_old_input_that_the_new_revision_does_not_take_is_refused() -> None:
    recipe_type = make_recipe_type()
    row = _done(make_recipe(recipe_type))
    takes = {"files": [{"name": "TEXT"}, {"name": "MORE"}]}
    edit_recipe_type(recipe_type.name, definition={**CHAIN, "input": takes}, actor=None)
    answer = browser("operator").post(_page(row, "reprocess"), {})
    assert answer.status_code == 200
    assert answer.context["form"].non_field_errors()


def test_one_that_is_not_there_has_no_pages() -> None:
    for name in ("cancel", "reprocess"):
        assert browser("operator").post(f"{LIST}999/{name}/").status_code == 404
