"""Recipe types in the admin: drawn, compared, made, edited and deprecated, by who may."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event
from jobtypes.admin import recipe_type_story
from jobtypes.models import JobType, RecipeType
from jobtypes.services.job_types import edit_job_type
from jobtypes.services.recipe_types import edit_recipe_type
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.query_budget import within_budget
from tests.recipes import (
    CHAIN,
    FORK,
    Json,
    definition_of,
    follower,
    job_node,
    make_counter,
    make_recipe_type,
    recipe_node,
)

pytestmark = pytest.mark.django_db
LIST = "/admin/jobtypes/recipetype/"
ADD = f"{LIST}add/"
LONGER: Json = {**CHAIN, "nodes": {**CHAIN["nodes"], "d": follower("c")}}


def _page(row: RecipeType, page: str = "change") -> str:
    return reverse(f"admin:jobtypes_recipetype_{page}", args=[row.pk])


def _text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def _told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def _filled(definition: Any = CHAIN, **more: Any) -> dict[str, Any]:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return {"title": "Words", "description": "", "definition": text, **more}


def _edit(client: Client, row: RecipeType, data: dict[str, Any], **more: Any) -> Any:
    """Send the form for a change, as it was opened just now."""
    seen = RecipeType.objects.get(pk=row.pk).modified_at.isoformat()
    return client.post(_page(row, "edit"), {**data, "seen": seen}, **more)


def _outer(inner: RecipeType, title: str = "Outer") -> RecipeType:
    return make_recipe_type(definition_of({"inner": recipe_node(inner.name)}), title)


# --- Who may -------------------------------------------------------------------------------------


def test_all_staff_see_list_page_and_comparison_and_others_none() -> None:
    row = make_recipe_type(FORK, "Forked words")
    paths = (LIST, _page(row), _page(row, "compare"))
    for role in STAFF:
        assert all("forked-words" in _text(browser(role), path) for path in paths)
    for role in OTHERS:
        for path in paths:
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_who_may_has_the_buttons(role: str) -> None:
    page = _text(browser(role), _page(make_recipe_type()))
    for label in ("Change", "Deprecate", "Compare revisions"):
        assert f">{label}</a>" in page
    assert "Make active again" not in page


def test_who_may_not_has_neither_buttons_nor_pages() -> None:
    row = make_recipe_type()
    assert ">Deprecate</a>" not in _text(browser("monitor"), _page(row))
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        for path in (ADD, _page(row, "edit"), _page(row, "deprecate"), _page(row, "reactivate")):
            assert browser(role).get(path).status_code == status
            assert browser(role).post(path, _filled(LONGER)).status_code == status
    row.refresh_from_db()
    assert (row.is_active, row.revision_num, RecipeType.objects.count()) == (True, 1, 1)


def test_one_of_the_system_is_left_alone() -> None:
    row = make_recipe_type()
    RecipeType.objects.update(is_system=True)
    page = _text(browser("admin"), _page(row))
    assert "SYSTEM" in page
    assert ">Change</a>" not in page
    for name in ("edit", "deprecate", "reactivate"):
        assert browser("admin").post(_page(row, name), _filled(LONGER)).status_code == 403


# --- The list and the page -----------------------------------------------------------------------


def test_the_list_is_filtered_and_searched_by_how_a_name_begins() -> None:
    for title in ("Words one", "Words two", "Other words"):
        make_recipe_type(title=title)
    edit_recipe_type("words-two", is_active=False, actor=None)
    client = browser("monitor")

    def listed(**parameters: str) -> list[str]:
        return [row.name for row in client.get(LIST, parameters).context["cl"].result_list]

    assert listed() == ["other-words", "words-one", "words-two"]
    assert listed(q="words") == ["words-one", "words-two"]
    assert listed(is_active__exact="0") == ["words-two"]
    assert listed(is_active__exact="1", q="words-") == ["words-one"]


def test_the_list_costs_the_same_with_more_rows() -> None:
    client, found = browser("operator"), []
    for _ in range(2):
        for _ in range(3):
            make_recipe_type()
        with within_budget("admin: recipe types") as statements:
            page = _text(client, LIST)
        found.append(len(statements))
        assert '"definition"' not in str(statements)
    assert found[0] == found[1]
    assert len(re.findall(r"words-\d+", page))


def test_a_page_draws_the_definition_and_links_what_its_nodes_run() -> None:
    counter, inner = make_counter(), make_recipe_type(title="Inner")
    nodes = {**FORK["nodes"], "inner": recipe_node("inner")}
    row = make_recipe_type(definition_of(nodes), "Forked", description="<b>All</b>")
    page = _text(browser("monitor"), _page(row))
    assert "&lt;b&gt;All&lt;/b&gt;" in page
    assert "role='group' aria-label='The nodes of forked'" in page
    job_type = reverse("admin:jobtypes_jobtype_change", args=[counter.pk])
    # Each job twice: in the drawing, and in the table.
    assert page.count(f"href='{job_type}'") == 2 * 4
    assert page.count(f"href='{_page(inner)}'") == 2
    for text in (
        "accepted</text>",
        "refused</text>",
        "Whether total &gt;= 10",
        "many (refused)",
        "TEXT from the recipe",
    ):
        assert text in page
    assert "In no other recipe type" in page
    assert f"href='{_page(row)}'" in _text(browser("monitor"), _page(inner))


def test_a_page_costs_the_same_however_many_nodes_and_revisions_there_are() -> None:
    row, client, found = make_recipe_type(), browser("operator"), []
    for definition in (LONGER, FORK):
        edit_recipe_type(row.name, definition=definition, actor=None)
        with within_budget("admin: recipe type page") as statements:
            _text(client, _page(row))
        found.append(len(statements))
    assert found[0] == found[1]


def test_a_page_has_the_newest_revisions_only_and_says_so() -> None:
    row = make_recipe_type()
    edit_recipe_type(row.name, definition=LONGER, actor=None)
    assert "The newest" not in _text(browser("monitor"), _page(row))
    with mock.patch.object(recipe_type_story, "REVISIONS_SHOWN", 1):
        page = _text(browser("monitor"), _page(row))
    assert "The newest 1." in page
    assert "?after=2'" in page
    assert "?after=1'" not in page


def test_its_history_is_in_the_event_log() -> None:
    row = make_recipe_type()
    make_recipe_type()
    client = browser("monitor")
    answer = client.get(client.get(_page(row, "history")).context["log_url"])
    found = [(event.kind, event.subject_id) for event in answer.context["cl"].result_list]
    assert found == [("recipe_type.created", row.pk)]


# --- Two revisions -------------------------------------------------------------------------------


def _three() -> RecipeType:
    row = make_recipe_type(CHAIN, "Words")
    edit_recipe_type(row.name, definition=LONGER, actor=None)
    nodes = {"a": job_node(), "b": follower("a"), "d": follower("b")}
    edit_recipe_type(row.name, definition=definition_of(nodes), actor=None)
    return row


def _rows(page: str) -> dict[str, str]:
    return dict(re.findall(r"<tr><td>(\w)</td><td><span class='cp-badge cp-\w+'>(\w+)</span>", page))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"a": "UNCHANGED", "b": "UNCHANGED", "c": "DELETED", "d": "CHANGED"}),
        ({"after": 2}, {"a": "UNCHANGED", "b": "UNCHANGED", "c": "UNCHANGED", "d": "NEW"}),
        ({"after": 1}, {"a": "NEW", "b": "NEW", "c": "NEW"}),
        ({"before": 1, "after": 3}, {"a": "UNCHANGED", "b": "UNCHANGED", "c": "DELETED", "d": "NEW"}),
        ({"before": 3, "after": 1}, {"a": "UNCHANGED", "b": "UNCHANGED", "c": "NEW", "d": "DELETED"}),
    ],
)
def test_revisions_are_compared_node_by_node(asked: dict[str, int], expected: dict[str, str]) -> None:
    answer = browser("monitor").get(_page(_three(), "compare"), asked)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert _rows(page) == expected
    assert "role='group'" in page


@pytest.mark.parametrize("asked", [{"after": 4}, {"before": 9}, {"after": "x"}, {"before": 0}, {"after": 2**40}])
def test_a_revision_that_is_none_is_asked_for_again(asked: dict[str, Any]) -> None:
    answer = browser("monitor").get(_page(_three(), "compare"), asked)
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert "role='group'" not in answer.content.decode()


def test_other_inputs_are_told_of() -> None:
    row = make_recipe_type()
    takes = {"files": [{"name": "TEXT"}, {"name": "MORE", "required": False}]}
    edit_recipe_type(row.name, definition={**CHAIN, "input": takes}, actor=None)
    page = _text(browser("monitor"), _page(row, "compare"))
    assert "What the recipe itself takes has changed" in page


def test_what_is_not_there_is_not_compared() -> None:
    assert browser("monitor").get(f"{LIST}999/compare/").status_code == 404


# --- Making --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_one_is_made_and_its_page_is_shown(role: str) -> None:
    make_counter()
    answer = browser(role).post(ADD, _filled(FORK, title="My words", is_active="on"), follow=True)
    row = RecipeType.objects.get(name="my-words")
    assert answer.request["PATH_INFO"] == _page(row)
    assert (row.title, row.is_active, row.revision_num) == ("My words", True, 1)
    assert Event.objects.get(kind="recipe_type.created").actor == somebody(role)


def test_one_is_made_that_is_not_active_yet() -> None:
    make_counter()
    browser("operator").post(ADD, _filled())
    assert not RecipeType.objects.get(name="words").is_active


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "!!!"}, "title"),
        ({"title": "Taken"}, "title"),
        ({"title": "validation"}, "title"),
        ({"title": "x" * 129}, "title"),
        ({"description": "x" * 501}, "description"),
        ({"definition": ""}, "definition"),
        ({"definition": "{"}, "definition"),
        ({"definition": "[1]"}, "definition"),
        ({"definition": "NaN"}, "definition"),
        ({"definition": "[" * 100_000}, "definition"),
        ({"definition": "9" * 5_000}, "definition"),
        ({"definition": '"\\ud800"'}, "definition"),
        ({"definition": '{"nodes": {"\\u0000": {}}}'}, "definition"),
        ({"definition": json.dumps(definition_of({"a": job_node("nothing")}))}, "definition"),
    ],
)
def test_what_is_refused_is_shown_at_its_field(wish: dict[str, str], field: str) -> None:
    make_recipe_type(title="Taken")
    answer = browser("operator").post(ADD, {**_filled(), **wish})
    assert answer.status_code == 200
    assert set(answer.context["form"].errors) == {field}
    assert RecipeType.objects.count() == 1


def test_what_was_typed_stays_as_it_was_typed() -> None:
    typed = '{"nodes":   {"a": "\\ud800"}}'
    answer = browser("operator").post(ADD, _filled(typed))
    assert typed.replace('"', "&quot;") in answer.content.decode()


def test_check_says_what_would_be_and_makes_nothing() -> None:
    make_counter()
    client = browser("operator")
    good = client.post(ADD, _filled(check="1")).content.decode()
    assert "VALID" in good
    bad = client.post(ADD, _filled(definition_of({"a": job_node("nothing")}), check="1")).content.decode()
    assert "REFUSED" in bad
    assert "UNKNOWN_JOB_TYPE" in bad
    assert not RecipeType.objects.exists()


# --- Editing -------------------------------------------------------------------------------------


def test_an_edit_makes_a_revision_and_those_around_it_take_it() -> None:
    row = make_recipe_type()
    outer = _outer(row)
    answer = _edit(browser("operator"), row, _filled(LONGER, title="More", auto_update="on"), follow=True)
    assert "Changed" in _told(answer)
    for each in (row, outer):
        each.refresh_from_db()
        assert each.revision_num == 2
    assert row.title == "More"
    assert Event.objects.filter(kind="recipe_type.changed", subject_id=row.pk).get().actor == somebody()


def test_without_auto_update_those_around_it_stay() -> None:
    row = make_recipe_type()
    outer = _outer(row)
    _edit(browser("operator"), row, _filled(LONGER))
    outer.refresh_from_db()
    assert outer.revision_num == 1


def test_the_form_begins_with_what_there_is_and_saving_it_changes_nothing() -> None:
    row = make_recipe_type(title="Words", description="All of them")
    client = browser("operator")
    form = client.get(_page(row, "edit")).context["form"]
    shown = {name: value for name, value in form.initial.items() if name != "seen"}
    assert shown == {"title": "Words", "description": "All of them", "definition": row.definition}
    assert '"count-words"' in client.get(_page(row, "edit")).content.decode().replace("&quot;", '"')
    _edit(client, row, _filled(row.definition, description="All of them"))
    row.refresh_from_db()
    assert row.revision_num == 1


def test_the_words_can_be_changed_although_what_it_names_is_gone() -> None:
    row = make_recipe_type()
    JobType.objects.update(is_active=False, deprecated_at="2026-01-01T00:00Z")
    answer = _edit(browser("operator"), row, _filled(row.definition, title="Other"), follow=True)
    assert "Changed" in _told(answer)
    answer = _edit(browser("operator"), row, _filled(LONGER, title="Other"))
    assert "definition" in answer.context["form"].errors


def test_warnings_of_an_edit_are_told() -> None:
    row = make_recipe_type()
    takes = {"files": [{"name": "TEXT", "required": False}]}
    answer = _edit(browser("operator"), row, _filled({**CHAIN, "input": takes}), follow=True)
    assert "MAY_BE_MISSING" in _told(answer)


def test_check_of_an_edit_shows_what_changes_by_node_and_saves_nothing() -> None:
    row, client = make_recipe_type(), browser("operator")
    page = _edit(client, row, _filled(LONGER, check="1")).content.decode()
    assert _rows(page) == {"d": "NEW"}
    assert "VALID" in page
    same = _edit(client, row, _filled(row.definition, check="1")).content.decode()
    assert "No node changes." in same
    bad = _edit(client, row, _filled({"nodes": 1}, check="1")).content.decode()
    assert "INVALID_DEFINITION" in bad
    assert "No node changes." not in bad
    row.refresh_from_db()
    assert row.revision_num == 1


def test_an_edit_of_what_was_changed_meanwhile_is_refused() -> None:
    row, client = make_recipe_type(), browser("operator")
    data = {**_filled(LONGER), "seen": client.get(_page(row, "edit")).context["form"]["seen"].value()}
    _edit(client, row, _filled(row.definition, title="Somebody else's"))
    answer = client.post(_page(row, "edit"), data)
    assert "changed since you opened this page" in str(answer.context["form"].non_field_errors())
    row.refresh_from_db()
    assert (row.title, row.revision_num) == ("Somebody else's", 1)


def test_one_that_is_not_there_is_not_edited() -> None:
    assert browser("operator").post(f"{LIST}999/edit/", _filled()).status_code == 404


# --- Deprecating ---------------------------------------------------------------------------------


def test_deprecating_names_those_that_go_with_it() -> None:
    row = make_recipe_type()
    outer = _outer(_outer(row, "Middle"))
    client = browser("operator")
    assert "middle, outer" in _text(client, _page(row, "deprecate"))
    assert "contain it" not in _text(client, _page(outer, "deprecate"))
    answer = client.post(_page(row, "deprecate"), follow=True)
    assert "Deprecated" in _told(answer)
    assert "DEPRECATED_RECIPES" in _told(answer)
    assert not RecipeType.objects.filter(is_active=True).exists()
    assert "DEPRECATED" in answer.content.decode()
    assert client.post(_page(row, "deprecate")).status_code == 403


def test_one_is_made_active_again_when_its_definition_still_holds() -> None:
    row, client = make_recipe_type(), browser("operator")
    assert client.post(_page(row, "reactivate")).status_code == 403
    edit_recipe_type(row.name, is_active=False, actor=None)
    assert ">Make active again</a>" in _text(client, _page(row))
    counter = JobType.objects.get()
    edit_job_type(counter, is_active=False, actor=None)
    assert "not active" in _told(client.post(_page(row, "reactivate"), follow=True))
    edit_job_type(counter, is_active=True, actor=None)
    assert "Active again" in _told(client.post(_page(row, "reactivate"), follow=True))
    row.refresh_from_db()
    assert row.is_active
