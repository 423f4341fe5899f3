"""Why jobs of recipes wait."""

from __future__ import annotations

import pytest

from jobs import services, states
from jobs.models import Recipe
from jobs.queries.recipes import kept_back, made_nodes, why_waits
from jobs.services.recipes import advance_recipe, cancel_recipe
from jobtypes.recipe.definition import parse
from tests.factories import make_job_in
from tests.query_budget import counted
from tests.recipes import (
    CHAIN,
    DIAMOND,
    FORK,
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


def _all_told(recipe: Recipe) -> dict[str, list[str]]:
    """What is said of each node that waits."""
    made, nodes = made_nodes(recipe), parse(recipe.revision.definition).nodes
    with counted() as statements:
        found = {name: said for name, node in nodes.items() if (said := why_waits(node, made))}
    assert len(statements) == 0
    return found


def test_of_all_nodes_the_same_is_said_as_of_their_jobs_without_asking_again() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    end(recipe, "top")
    assert _all_told(recipe) == {"bottom": [hint for _, hint in told(recipe, "bottom")]}
    end(recipe, "left", output={"files": {}, "json": {}})
    end(recipe, "right")
    assert _all_told(recipe) == {"bottom": [hint for _, hint in told(recipe, "bottom")]}


def test_nodes_that_are_not_made_say_what_comes_first() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    assert _all_told(recipe) == {
        "many": ["Waits for count, which is QUEUED."],
        "long": ["Waits for many, which is not made yet."],
        "short": ["Waits for many, which is not made yet."],
        "after-long": ["Waits for long, which is not made yet."],
    }
