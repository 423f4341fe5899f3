"""What has changed between two definitions."""

from __future__ import annotations

from jobtypes.recipe.definition import parse
from jobtypes.recipe.difference import Status, difference
from tests.recipes import CHAIN, FORK, Json, after, definition_of, follower, job_node, many_words, recipe_node

# Its status, whether it runs again, and the names of its changes.
Told = tuple[str, bool, list[str]]


def changes(before: Json | None, after_it: Json) -> dict[str, Told]:
    found = difference(parse(before) if before else None, parse(after_it))
    return {
        name: (each.status.value, each.runs_again, [change.name for change in each.changes])
        for name, each in found.items()
    }


SAME: Told = (Status.UNCHANGED.value, False, [])
AGAIN: Told = (Status.UNCHANGED.value, True, [])


def test_without_one_before_everything_is_new() -> None:
    assert changes(None, CHAIN) == dict.fromkeys("abc", ("NEW", True, []))


def test_the_same_is_unchanged() -> None:
    assert changes(FORK, FORK) == dict.fromkeys(FORK["nodes"], SAME)


def test_a_change_runs_again_with_all_that_follows() -> None:
    nodes = {**CHAIN["nodes"], "b": follower("a", "other")}
    assert changes(CHAIN, definition_of(nodes)) == {"a": SAME, "b": ("CHANGED", True, ["REVISION"]), "c": AGAIN}


def test_nodes_come_and_go() -> None:
    nodes = {"a": job_node(), "d": follower("a")}
    found = changes(CHAIN, definition_of(nodes))
    assert found == {"a": SAME, "d": ("NEW", True, []), "b": ("DELETED", False, []), "c": ("DELETED", False, [])}


def test_it_says_what_has_changed_of_a_node() -> None:
    moved = {**CHAIN["nodes"], "c": follower("a")}
    assert changes(CHAIN, definition_of(moved))["c"] == ("CHANGED", True, ["DEPENDENCIES", "INPUT"])
    kind = {"a": recipe_node("x"), "b": job_node(needs=after("a"))}
    assert changes(CHAIN, definition_of(kind))["a"] == ("CHANGED", True, ["NODE_TYPE"])
    asked = {**FORK["nodes"], "many": many_words("count", least=11)}
    found = changes(FORK, definition_of(asked))
    assert (found["many"], found["long"], found["count"]) == (("CHANGED", True, ["CONDITION"]), AGAIN, SAME)


def test_another_input_of_the_recipe_runs_what_takes_it_and_what_follows() -> None:
    takes = {"files": [{"name": "TEXT", "multiple": True}]}
    assert changes(CHAIN, definition_of(CHAIN["nodes"], takes)) == dict.fromkeys("abc", AGAIN)
