"""Recipe types: made, edited, kept in step with job types."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from jobtypes.errors import InvalidDocument, RecipeTypeNotFound
from jobtypes.models import JobType, RecipeType
from jobtypes.services.job_types import edit_job_type
from jobtypes.services.recipe_types import (
    RecipeVerdict,
    create_recipe_type,
    deactivate_containing,
    edit_recipe_type,
    repoint,
    validate_definition,
)
from tests.factories import make_job_type, make_operator, manifest_of
from tests.recipes import (
    CHAIN,
    FORK,
    Json,
    after,
    definition_of,
    follower,
    from_node,
    job_node,
    make_counter,
    make_recipe_type,
    recipe_node,
)

pytestmark = pytest.mark.django_db


def names(verdict: RecipeVerdict) -> tuple[list[str], list[str]]:
    return [each.name for each in verdict.errors], [each.name for each in verdict.warnings]


def revisions(recipe_type: RecipeType) -> list[int]:
    """The revision of the job type in node a, in every revision of the recipe type."""
    rows = recipe_type.revisions.order_by("revision_num")
    return [row.definition["nodes"]["a"]["node_type"]["job_type_revision"] for row in rows]


def around(inner: RecipeType, title: str = "Outer", **more: Json) -> RecipeType:
    """A recipe type that contains another."""
    return make_recipe_type(definition_of({"inner": recipe_node(inner.name), **more}), title)


def kinds(*subjects: RecipeType) -> list[str]:
    found = Event.objects.filter(subject_kind="recipe_type", subject_id__in=[each.pk for each in subjects])
    return list(found.order_by("id").values_list("kind", flat=True))


# --- Making --------------------------------------------------------------------------------------


def test_it_is_named_after_its_title_and_has_a_revision() -> None:
    counter, actor = make_counter(), make_operator().user
    made = create_recipe_type(title="Märchen & Texts!", description="All", definition=FORK, actor=actor)
    assert (made.name, made.title, made.description, made.revision_num) == (
        "marchen-texts",
        "Märchen & Texts!",
        "All",
        1,
    )
    assert made.is_active
    assert made.definition["nodes"]["count"]["node_type"]["job_type_revision"] == 1
    assert made.revisions.get().definition == made.definition
    assert set(made.nodes.values_list("name", "job_type")) == {
        (name, counter.pk) for name in ("count", "long", "short", "after-long")
    }
    assert kinds(made) == ["recipe_type.created"]


def test_it_keeps_the_revision_that_is_named() -> None:
    counter = make_counter()
    edit_job_type(counter, docker_image="count:2", actor=None)
    node = job_node()
    node["node_type"]["job_type_revision"] = 1
    made = make_recipe_type(definition_of({"a": node, "b": follower("a")}))
    assert [made.definition["nodes"][name]["node_type"]["job_type_revision"] for name in "ab"] == [1, 2]


@pytest.mark.parametrize("title", ["Validation", "!!!", ""])
def test_it_refuses_a_title_that_makes_no_name(title: str) -> None:
    make_counter()
    with pytest.raises(InvalidRequest) as refused:
        create_recipe_type(title=title, definition=CHAIN, actor=None)
    assert refused.value.field == "title"


def test_it_refuses_a_name_that_is_taken_and_leaves_nothing_behind() -> None:
    made = make_recipe_type(CHAIN, "Texts")
    with pytest.raises(InvalidRequest) as refused:
        make_recipe_type(CHAIN, "texts")
    assert refused.value.field == "title"
    assert RecipeType.objects.get() == made
    assert made.revisions.count() == 1


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ({"nodes": {"a": {}}}, "INVALID_DEFINITION"),
        (definition_of({"a": job_node("none")}), "UNKNOWN_JOB_TYPE"),
        (definition_of({"a": recipe_node("none")}), "UNKNOWN_RECIPE_TYPE"),
        (None, "INVALID_DEFINITION"),
    ],
)
def test_it_refuses_a_definition_by_the_findings_name(definition: Any, name: str) -> None:
    make_counter()
    with pytest.raises(InvalidDocument) as refused:
        create_recipe_type(title="Texts", definition=definition, actor=None)
    assert (refused.value.name, refused.value.field) == (name, "definition")
    assert not RecipeType.objects.exists()


def test_it_may_be_made_inactive() -> None:
    made = make_recipe_type(is_active=False)
    assert made.deprecated_at is not None


# --- Editing -------------------------------------------------------------------------------------


def test_another_definition_makes_a_revision_and_tells_what_has_changed() -> None:
    made, actor = make_recipe_type(CHAIN), make_operator().user
    wanted = definition_of({"a": job_node(), "c": follower("a"), "d": follower("a")})
    verdict = edit_recipe_type(made.name, definition=wanted, actor=actor)
    assert {name: each.status for name, each in verdict.difference.items()} == {
        "a": "UNCHANGED", "b": "DELETED", "c": "CHANGED", "d": "NEW",
    }  # fmt: skip
    made.refresh_from_db()
    assert made.revision_num == 2
    assert [row.revision_num for row in made.revisions.order_by("revision_num")] == [1, 2]
    assert set(made.nodes.values_list("name", flat=True)) == {"a", "c", "d"}
    assert kinds(made) == ["recipe_type.created", "recipe_type.changed"]


def test_the_same_definition_and_other_fields_make_none() -> None:
    made = make_recipe_type(CHAIN)
    before = made.modified_at
    edit_recipe_type(made.name, definition=CHAIN, title="Other", description="More", actor=None)
    made.refresh_from_db()
    assert (made.revision_num, made.title, made.description) == (1, "Other", "More")
    assert made.modified_at > before
    assert made.name.startswith("words")


def test_a_refused_edit_changes_nothing() -> None:
    made = make_recipe_type(CHAIN)
    with pytest.raises(InvalidDocument):
        edit_recipe_type(made.name, title="Other", definition=definition_of({"a": job_node("none")}), actor=None)
    assert RecipeType.objects.get().title == made.title


def test_there_is_nothing_to_edit_of_what_is_not_there_or_the_systems_own() -> None:
    with pytest.raises(RecipeTypeNotFound):
        edit_recipe_type("none", title="x", actor=None)
    made = make_recipe_type(CHAIN)
    RecipeType.objects.update(is_system=True)
    with pytest.raises(InvalidRequest) as refused:
        edit_recipe_type(made.name, title="x", actor=None)
    assert refused.value.code == "SYSTEM_RECIPE_TYPE"


def test_a_new_revision_goes_up_unless_it_is_not_to() -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    outer = around(inner)
    outermost = around(outer, "Outermost")
    edit_recipe_type("inner", definition=definition_of({"a": job_node()}), auto_update=False, actor=None)
    outer.refresh_from_db()
    assert outer.revision_num == 1
    edit_recipe_type("inner", definition=CHAIN, actor=None)
    outer.refresh_from_db()
    outermost.refresh_from_db()
    assert (outer.revision_num, outermost.revision_num) == (2, 2)
    assert outer.definition["nodes"]["inner"]["node_type"]["recipe_type_revision"] == 3
    assert outermost.definition["nodes"]["inner"]["node_type"]["recipe_type_revision"] == 2


def test_an_edit_that_would_break_what_is_above_leaves_that_alone() -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    outer = around(inner)
    takes = {"files": [{"name": "TEXT"}, {"name": "MORE"}]}
    edit_recipe_type("inner", definition=definition_of({"a": job_node()}, takes), actor=None)
    outer.refresh_from_db()
    assert outer.revision_num == 1


def test_a_recipe_type_cannot_be_put_into_itself() -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    around(inner)
    with pytest.raises(InvalidDocument) as refused:
        edit_recipe_type("inner", definition=definition_of({"x": recipe_node("outer")}), actor=None)
    assert refused.value.name == "CONTAINS_ITSELF"


def test_it_is_made_inactive_with_what_contains_it_and_active_again_by_itself() -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    outer = around(inner)
    verdict = edit_recipe_type("inner", is_active=False, actor=None)
    assert names(verdict) == ([], ["DEPRECATED_RECIPES"])
    assert "outer" in verdict.warnings[0].description
    assert "inner" not in verdict.warnings[0].description
    inner.refresh_from_db()
    outer.refresh_from_db()
    assert [inner.is_active, outer.is_active] == [False, False]
    since = inner.deprecated_at
    assert names(edit_recipe_type("inner", is_active=False, actor=None)) == ([], [])
    inner.refresh_from_db()
    assert inner.deprecated_at == since
    edit_recipe_type("inner", is_active=True, actor=None)
    inner.refresh_from_db()
    outer.refresh_from_db()
    assert (inner.is_active, inner.deprecated_at, outer.is_active) == (True, None, False)


def test_one_with_an_inactive_job_type_cannot_be_made_active() -> None:
    made = make_recipe_type(CHAIN)
    edit_job_type(JobType.objects.get(), is_active=False, actor=None)
    with pytest.raises(InvalidDocument) as refused:
        edit_recipe_type(made.name, is_active=True, actor=None)
    assert refused.value.name == "INACTIVE_JOB_TYPE"


# --- Judging -------------------------------------------------------------------------------------


def test_it_judges_without_saving() -> None:
    make_counter()
    good = validate_definition(CHAIN)
    assert (good.is_valid, {each.status for each in good.difference.values()}) == (True, {"NEW"})
    bad = validate_definition(definition_of({"a": job_node("none")}))
    assert (bad.is_valid, names(bad), bad.difference) == (False, (["UNKNOWN_JOB_TYPE"], []), {})
    assert not RecipeType.objects.exists()


def test_it_compares_with_the_one_that_would_be_edited() -> None:
    made = make_recipe_type(CHAIN)
    verdict = validate_definition({"nodes": {}}, name=made.name)
    assert {each.status for each in verdict.difference.values()} == {"DELETED"}
    with pytest.raises(RecipeTypeNotFound):
        validate_definition(CHAIN, name="none")


# --- In step with job types ----------------------------------------------------------------------


def test_an_inactive_job_type_takes_what_contains_it_along() -> None:
    counter, actor = make_counter(), make_operator().user
    inner = make_recipe_type(CHAIN, "Inner")
    outer = around(inner)
    make_job_type("other")
    other = make_recipe_type(definition_of({"a": job_node("other")}), "Other")
    with transaction.atomic():
        assert deactivate_containing(counter, actor=actor) == ["inner", "outer"]
    rows = {row.name: row for row in RecipeType.objects.all()}
    assert [rows[name].is_active for name in ("inner", "outer", "other")] == [False, False, True]
    assert rows["inner"].deprecated_at is not None
    assert kinds(inner, outer)[2:] == ["recipe_type.deactivated"] * 2
    assert kinds(other) == ["recipe_type.created"]
    assert deactivate_containing(counter, actor=actor) == []


def test_a_new_revision_of_a_job_type_is_taken_by_what_contains_it_and_above() -> None:
    counter = make_counter()
    inner = make_recipe_type(CHAIN, "Inner")
    outer = around(inner, a=job_node())
    edit_job_type(counter, docker_image="count:2", actor=None)
    inner.refresh_from_db()
    outer.refresh_from_db()
    assert revisions(inner) == [1, 2]
    assert revisions(outer)[-1] == 2
    assert outer.definition["nodes"]["inner"]["node_type"]["recipe_type_revision"] == 2
    assert (inner.revision_num, outer.revision_num) == (2, 2)
    assert repoint(counter, actor=None) == []


def test_recipe_types_keep_their_revision_when_they_are_not_to_be_updated() -> None:
    counter, made = make_counter(), make_recipe_type(CHAIN)
    edit_job_type(counter, docker_image="count:2", auto_update=False, actor=None)
    assert revisions(made) == [1]
    assert repoint(counter, actor=None) == [made.name]
    assert revisions(made) == [1, 2]


def test_a_revision_that_does_not_fit_is_not_taken() -> None:
    counter, made = make_counter(), make_recipe_type(CHAIN)
    only = make_recipe_type(definition_of({"a": job_node()}), "Only")
    manifest = manifest_of()
    manifest["job"]["interface"]["outputs"]["files"][0]["name"] = "OTHER"
    edit_job_type(counter, manifest=manifest, actor=None)
    assert (revisions(made), revisions(only)) == ([1], [1, 2])


def test_inactive_recipe_types_and_other_versions_are_left_alone() -> None:
    counter = make_counter()
    made = make_recipe_type(CHAIN, is_active=False)
    newer = make_job_type("count-words", "2.0.0")
    edit_job_type(counter, docker_image="count:2", actor=None)
    edit_job_type(newer, docker_image="count:3", actor=None)
    assert revisions(made) == [1]


def test_two_nodes_of_a_recipe_type_take_one_revision() -> None:
    counter = make_counter()
    nodes = {"a": job_node(), "b": job_node(needs=after("a"), TEXT=from_node("a", "COUNTS"))}
    made = make_recipe_type(definition_of(nodes))
    edit_job_type(counter, docker_image="count:2", actor=None)
    made.refresh_from_db()
    assert made.revision_num == 2
