"""What of a recipe can go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobtypes.recipe.definition import Node, parse
from jobtypes.recipe.walk import Standing, Walked, walk
from tests.recipes import CHAIN, DIAMOND, FORK, Json, after, definition_of, job_node, many_words, recipe_node

DONE, STUCK, OPEN, READY, UNFED = Standing.DONE, Standing.STUCK, Standing.OPEN, Standing.READY, Standing.UNFED


def walked(
    document: Json,
    made: Mapping[str, Standing] | None = None,
    outcomes: Mapping[str, bool] | None = None,
    *,
    accept: bool = True,
    unfed: tuple[str, ...] = (),
) -> Walked:
    def decide(node: Node) -> bool:
        return accept

    def is_fed(node: Node) -> bool:
        return node.name not in unfed

    return walk(parse(document), made or {}, outcomes or {}, decide=decide, is_fed=is_fed)


def test_what_depends_on_nothing_is_ready_and_all_else_open() -> None:
    found = walked(DIAMOND)
    assert found.jobs == {"top": READY, "left": OPEN, "right": OPEN, "bottom": OPEN}
    assert not found.finished


def test_a_node_waits_for_all_that_it_depends_on() -> None:
    found = walked(DIAMOND, {"top": DONE, "left": DONE, "right": OPEN})
    assert found.jobs == {"bottom": OPEN}
    assert walked(DIAMOND, {"top": DONE, "left": DONE, "right": DONE}).jobs == {"bottom": READY}


def test_everything_behind_what_is_stuck_is_stuck() -> None:
    assert walked(CHAIN, {"a": STUCK}).jobs == {"b": STUCK, "c": STUCK}
    assert walked(DIAMOND, {"top": DONE, "left": STUCK, "right": OPEN}).jobs == {"bottom": STUCK}


def test_what_has_no_input_is_unfed_and_sticks_what_follows() -> None:
    assert walked(CHAIN, {"a": DONE}, unfed=("b",)).jobs == {"b": UNFED, "c": STUCK}


def test_it_is_finished_when_all_is_done() -> None:
    found = walked(CHAIN, {"a": DONE, "b": DONE, "c": DONE})
    assert (found.finished, found.jobs, found.recipes, found.outcomes) == (True, {}, [], {})


def test_what_a_condition_may_skip_is_left_until_it_has_decided() -> None:
    assert walked(FORK, {"count": OPEN}).jobs == {}
    assert walked(FORK, {"count": STUCK}).jobs == {}
    found = walked(FORK, {"count": DONE})
    assert (found.outcomes, found.jobs) == ({"many": True}, {"long": READY, "after-long": OPEN})
    refused = walked(FORK, {"count": DONE}, accept=False)
    assert (refused.outcomes, refused.jobs) == ({"many": False}, {"short": READY})


def test_a_condition_is_decided_once() -> None:
    found = walked(FORK, {"count": DONE}, {"many": False}, accept=True)
    assert (found.outcomes, found.jobs) == ({}, {"short": READY})
    assert walked(FORK, {"count": DONE, "short": DONE}, {"many": False}).finished


def test_conditions_in_a_row_are_decided_at_once_and_what_is_skipped_skips_on() -> None:
    nodes: dict[str, Any] = {
        **FORK["nodes"],
        "more": many_words("count"),
        "both": job_node(needs=after("many", "more")),
    }
    nodes["more"]["dependencies"] = after("count", "many")
    document = definition_of(nodes)
    assert walked(document, {"count": DONE}).outcomes == {"many": True, "more": True}
    found = walked(document, {"count": DONE}, accept=False)
    assert (found.outcomes, found.jobs) == ({"many": False}, {"short": READY})


def test_recipes_inside_are_made_when_their_turn_comes() -> None:
    document = definition_of(
        {"a": job_node(), "in": recipe_node("x", needs=after("a")), "b": job_node(needs=after("in"))}
    )
    assert walked(document).recipes == []
    found = walked(document, {"a": DONE})
    assert (found.recipes, found.jobs) == (["in"], {"b": OPEN})
    assert walked(document, {"a": DONE, "in": STUCK}).jobs == {"b": STUCK}
    assert walked(document, {"a": DONE, "in": DONE}).jobs == {"b": READY}
