"""Why jobs of recipes wait."""

from __future__ import annotations

import pytest

from jobs import services, states
from jobs.models import Recipe
from jobs.queries.recipes import kept_back
from jobs.services.recipes import advance_recipe, cancel_recipe
from tests.factories import make_job_in
from tests.recipes import (
    CHAIN,
    DIAMOND,
    after,
    definition_of,
    end,
    inside,
    job_node,
    job_of,
    make_recipe,
    make_recipe_type,
    output_of,
    recipe_node,
)

pytestmark = pytest.mark.django_db


def told(recipe: Recipe, node: str) -> list[tuple[str, str]]:
    return [(each.code, each.hint) for each in kept_back(job_of(recipe, node))]


def test_a_pending_job_waits_for_each_node_that_is_not_done() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    end(recipe, "top")
    assert told(recipe, "bottom") == [
        ("WAITS_FOR_NODE", "Waits for left, which is QUEUED."),
        ("WAITS_FOR_NODE", "Waits for right, which is QUEUED."),
    ]
    end(recipe, "left")
    assert [each.value for each in kept_back(job_of(recipe, "bottom"))] == ["right"]


def test_a_blocked_job_says_what_blocks_it() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    end(recipe, "a", status=states.FAILED)
    assert told(recipe, "b") == [("PARENT_FAILED", "Waits for a, which is FAILED.")]
    assert told(recipe, "c") == [("PARENT_FAILED", "Waits for b, which is BLOCKED.")]


def test_a_job_without_its_input_says_so() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    end(recipe, "a", output={"files": {}, "json": {}})
    assert [code for code, _ in told(recipe, "b")] == ["INPUT_MISSING"]


def test_a_job_waits_for_a_recipe_inside() -> None:
    inner = make_recipe_type(CHAIN, "Inner")
    nodes = {"a": job_node(), "in": recipe_node(inner.name, needs=after("a")), "b": job_node(needs=after("in"))}
    recipe = make_recipe(make_recipe_type(definition_of(nodes)))
    assert told(recipe, "b") == [("WAITS_FOR_NODE", "Waits for in, which is not made yet.")]
    end(recipe, "a", output=output_of())
    assert told(recipe, "b") == [("WAITS_FOR_NODE", "Waits for in, which is not completed.")]
    cancel_recipe(inside(recipe, "in"), actor=None)
    advance_recipe(recipe.pk)
    assert told(recipe, "b") == [("PARENT_FAILED", "Waits for in, which is canceled.")]


def test_a_job_of_no_recipe_waits_for_no_node() -> None:
    job = make_job_in(states.PENDING)
    assert kept_back(job) == []
    assert services.cancel_jobs([job.pk], actor=None) == {job.pk: states.CANCELED}
