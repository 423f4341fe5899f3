"""Which recipe types go with what they are made of."""

from __future__ import annotations

import pytest

from jobtypes.models import RecipeType
from jobtypes.queries.affected import affected_by_job_type, affected_by_recipe_type
from jobtypes.services.recipe_types import edit_recipe_type
from tests.query_budget import counted
from tests.recipes import definition_of, job_node, make_counter, make_recipe_type, recipe_node

pytestmark = pytest.mark.django_db


def _around(title: str, *inner: RecipeType) -> RecipeType:
    nodes = {f"n{place}": recipe_node(each.name) for place, each in enumerate(inner)}
    return make_recipe_type(definition_of(nodes), title)


def test_those_that_contain_it_are_named_and_those_that_contain_these() -> None:
    counter, other = make_counter(), make_counter("other")
    inner = make_recipe_type(definition_of({"a": job_node(), "b": job_node()}), "Inner")
    direct = make_recipe_type(definition_of({"a": job_node()}), "Direct")
    middle = _around("Middle", inner, direct)
    outer = _around("Outer", middle, inner)
    apart = make_recipe_type(definition_of({"a": job_node("other")}), "Apart")
    assert affected_by_job_type(counter) == ["direct", "inner", "middle", "outer"]
    assert affected_by_job_type(other) == ["apart"]
    assert affected_by_recipe_type(inner) == ["middle", "outer"]
    assert affected_by_recipe_type(middle) == ["outer"]
    assert affected_by_recipe_type(outer) == affected_by_recipe_type(apart) == []


def test_what_is_not_active_is_not_named_nor_what_is_above_it() -> None:
    counter = make_counter()
    inner = make_recipe_type(definition_of({"a": job_node()}), "Inner")
    middle = _around("Middle", inner)
    _around("Outer", middle)
    edit_recipe_type("middle", is_active=False, actor=None)
    assert affected_by_recipe_type(inner) == []
    assert affected_by_job_type(counter) == ["inner"]


def test_what_it_contains_no_more_does_not_count() -> None:
    make_counter("other")
    counter = make_counter()
    make_recipe_type(definition_of({"a": job_node()}), "Inner")
    edit_recipe_type("inner", definition=definition_of({"a": job_node("other")}), actor=None)
    assert affected_by_job_type(counter) == []


def test_it_says_what_deactivating_then_does() -> None:
    make_counter()
    inner = make_recipe_type(definition_of({"a": job_node()}), "Inner")
    _around("Outer", _around("Middle", inner), inner)
    said = affected_by_recipe_type(inner)
    edit_recipe_type("inner", is_active=False, actor=None)
    gone = RecipeType.objects.filter(is_active=False).exclude(name="inner")
    assert sorted(gone.values_list("name", flat=True)) == said


def test_it_asks_once_for_each_level_however_many_there_are() -> None:
    make_counter()
    inner = make_recipe_type(definition_of({"a": job_node()}), "Inner")
    for number in range(4):
        _around(f"Outer {number}", inner)
    with counted() as statements:
        affected_by_recipe_type(inner)
    assert len(statements) == 2
