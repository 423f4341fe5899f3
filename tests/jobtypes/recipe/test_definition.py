"""Reading definitions, and judging them."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from jobtypes.recipe.checks import Known, KnownJobType, KnownRecipeType, check, filled
from jobtypes.recipe.definition import Condition, JobTypeRef, RecipeTypeRef, parse
from jobtypes.recipe.interfaces import FILES, JSON, Interface, Parameter
from jobtypes.recipe.schemas import MAX_NODES
from jobtypes.seed.verdicts import Invalid
from tests.recipes import (
    CHAIN,
    DIAMOND,
    FORK,
    Json,
    after,
    condition_node,
    definition_of,
    follower,
    from_node,
    from_recipe,
    job_node,
    many_words,
    question,
    recipe_node,
)

COUNTER = Interface(
    inputs=(Parameter("TEXT", FILES, True), Parameter("limit", JSON, False, type="number")),
    outputs=(
        Parameter("COUNTS", FILES, True, media_types=("text/plain",)),
        Parameter("PAGES", FILES, False, multiple=True, media_types=("image/png",)),
        Parameter("total", JSON, True, type="integer"),
        Parameter("words", JSON, False, type="array"),
    ),
)
PICKY = Interface(inputs=(Parameter("TEXT", FILES, True, media_types=("text/csv",)),))
KNOWN = Known(
    {
        JobTypeRef("count-words", "1.0.0", None): KnownJobType(3, COUNTER, True),
        JobTypeRef("picky", "1.0.0", None): KnownJobType(1, PICKY, True),
        JobTypeRef("gone", "1.0.0", None): KnownJobType(1, COUNTER, False),
    },
    {
        RecipeTypeRef("inner", None): KnownRecipeType(
            2, Interface((Parameter("TEXT", FILES, True),)), True, 3, frozenset({"inner", "deep"})
        ),
        RecipeTypeRef("old", None): KnownRecipeType(1, Interface(), False, 1, frozenset({"old"})),
        RecipeTypeRef("vast", None): KnownRecipeType(1, Interface(), True, 9_999, frozenset({"vast"})),
        RecipeTypeRef("deep", None): KnownRecipeType(
            1, Interface(), True, 60, frozenset(f"level-{n}" for n in range(51))
        ),
    },
)


def fault(document: Any, name: str = "") -> str:
    """What a definition is refused for."""
    with pytest.raises(Invalid) as refused:
        check(parse(document), KNOWN, name=name)
    assert refused.value.where == "definition"
    return refused.value.finding.name


def warnings(document: Json) -> list[str]:
    return [each.name for each in check(parse(document), KNOWN)]


def nodes(**given: Json) -> Json:
    return definition_of(given)


# --- Reading -------------------------------------------------------------------------------------


def test_nodes_come_after_what_they_depend_on() -> None:
    document = definition_of({"c": follower("b"), "b": follower("a"), "a": job_node()})
    found = parse(document)
    assert list(found.nodes) == ["a", "b", "c"]
    assert found.ancestors["c"] == {"a", "b"}
    assert found.input.inputs == (Parameter("TEXT", FILES, True),)


def test_it_says_what_every_node_is() -> None:
    found = parse({"nodes": {**FORK["nodes"], "inner": recipe_node("inner", needs=after("count"))}})
    assert found.job_types == {JobTypeRef("count-words", "1.0.0", None)}
    assert found.recipe_types == {RecipeTypeRef("inner", None)}
    assert isinstance(found.nodes["many"].what, Condition)
    assert not found.nodes["short"].dependencies[0].acceptance
    assert parse({"nodes": {}}).nodes == {}


def test_revisions_are_filled_in_and_all_else_stays() -> None:
    document = nodes(a=job_node(), b=recipe_node("inner"))
    shown = filled(parse(document), KNOWN)
    assert shown["nodes"]["a"]["node_type"]["job_type_revision"] == 3
    assert shown["nodes"]["b"]["node_type"]["recipe_type_revision"] == 2
    assert shown["input"] == document["input"]
    assert parse(shown).nodes["a"].input == parse(document).nodes["a"].input


@pytest.mark.parametrize("document", [CHAIN, DIAMOND, FORK, {"nodes": {}}, nodes(a=job_node(), b=recipe_node("inner"))])
def test_it_accepts_what_is_valid(document: Json) -> None:
    assert warnings(document) == []


# --- Refusing ------------------------------------------------------------------------------------


def changed(document: Json, *path: str | int, to: Any) -> Json:
    """A copy of the document with another value at `path`."""
    found = copy.deepcopy(document)
    at: Any = found
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return found


A_NODE = ("nodes", "a")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {},
        {"nodes": []},
        {"nodes": {"a": {}}},
        {"nodes": {"a/b": job_node()}},
        {"nodes": {}, "more": 1},
        changed(CHAIN, "input", to={"files": [{"name": "T", "mediaTypes": []}]}),
        changed(CHAIN, "input", to={"json": [{"name": "T"}]}),
        changed(CHAIN, "input", to={"json": [{"name": "T", "type": "date"}]}),
        changed(CHAIN, *A_NODE, "dependencies", to=["b"]),
        changed(CHAIN, *A_NODE, "dependencies", to=[{"name": "b", "acceptance": "yes"}]),
        changed(CHAIN, *A_NODE, "input", to={"TEXT": {"type": "recipe"}}),
        changed(CHAIN, *A_NODE, "input", to={"TEXT": {"type": "file", "input": "TEXT"}}),
        changed(CHAIN, *A_NODE, "input", to={"TEXT": {"type": "dependency", "node": "b"}}),
        changed(CHAIN, *A_NODE, "node_type", to={"node_type": "batch"}),
        changed(CHAIN, *A_NODE, "node_type", to={"node_type": "job", "job_type_name": "x"}),
        changed(CHAIN, *A_NODE, "node_type", to={"node_type": "recipe"}),
        changed(CHAIN, *A_NODE, "node_type", "job_type_revision", to=0),
        changed(CHAIN, *A_NODE, "node_type", "job_type_name", to="x\0"),
        changed(FORK, "nodes", "many", "node_type", "data_filter", to={"filters": []}),
        {"nodes": {f"n{n}": job_node() for n in range(MAX_NODES + 1)}},
    ],
)
def test_it_refuses_another_shape(document: Any) -> None:
    assert fault(document) == "INVALID_DEFINITION"


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (definition_of({}, {"files": [{"name": "A"}], "json": [{"name": "A", "type": "object"}]}), "DUPLICATE_INPUT"),
        (nodes(a=job_node(needs=after("z"))), "UNKNOWN_DEPENDENCY"),
        (nodes(a=job_node(), b=job_node(needs=after("a", "a"))), "DUPLICATE_DEPENDENCY"),
        (nodes(a=job_node(), b=job_node(needs=after(refused="a"))), "INVALID_ACCEPTANCE"),
        (nodes(a=job_node(needs=after("a"))), "CIRCULAR_DEPENDENCY"),
        (nodes(a=follower("c"), b=follower("a"), c=follower("b"), d=job_node()), "CIRCULAR_DEPENDENCY"),
        (nodes(a=job_node("nothing")), "UNKNOWN_JOB_TYPE"),
        (nodes(a=job_node("gone")), "INACTIVE_JOB_TYPE"),
        (nodes(a=recipe_node("nothing")), "UNKNOWN_RECIPE_TYPE"),
        (nodes(a=recipe_node("old")), "INACTIVE_RECIPE_TYPE"),
        (nodes(a=recipe_node("vast"), b=job_node()), "TOO_LARGE"),
        (nodes(a=recipe_node("deep")), "TOO_LARGE"),
        (nodes(a=job_node(TEXT=from_recipe("NONE"))), "UNKNOWN_INPUT"),
        (nodes(a=job_node(TEXT=from_recipe("TEXT"), MORE=from_recipe("TEXT"))), "UNKNOWN_INPUT"),
        (nodes(a=job_node(limit=from_recipe("TEXT"))), "PARAM_REQUIRED"),
        (nodes(a=job_node(), b=job_node(needs=after("a"), TEXT=from_node("a", "NONE"))), "UNKNOWN_OUTPUT"),
        (nodes(a=job_node(), b=job_node(TEXT=from_node("a", "COUNTS"))), "UNKNOWN_DEPENDENCY"),
        (nodes(a=job_node(TEXT=from_node("z", "COUNTS"))), "UNKNOWN_DEPENDENCY"),
        (nodes(a=job_node(), b=job_node(needs=after("a"), TEXT=from_node("a", "total"))), "MISMATCHED_PARAM_TYPE"),
        (nodes(a=job_node(TEXT=from_recipe("TEXT"), limit=from_recipe("TEXT"))), "MISMATCHED_PARAM_TYPE"),
        (
            nodes(a=job_node(), b=job_node(needs=after("a"), TEXT=from_recipe("TEXT"), limit=from_node("a", "words"))),
            "MISMATCHED_JSON_TYPE",
        ),
        (nodes(a=job_node(), b=job_node(needs=after("a"), TEXT=from_node("a", "PAGES"))), "NO_MULTIPLE_FILES"),
        (nodes(a=recipe_node("inner"), b=job_node(needs=after("a"), TEXT=from_node("a", "X"))), "UNKNOWN_OUTPUT"),
    ],
)
def test_it_refuses_what_does_not_fit_together(document: Json, name: str) -> None:
    assert fault(document) == name


@pytest.mark.parametrize("name", ["inner", "deep"])
def test_a_recipe_type_is_no_part_of_itself(name: str) -> None:
    assert fault(nodes(a=recipe_node("inner")), name) == "CONTAINS_ITSELF"


def asked(kind: str, condition: str, *values: Any, name: str = "value", declared: str | None = None) -> Json:
    interface = {
        "json": [{"name": "value", "type": declared or kind, "required": False}],
        "files": [{"name": "file", "required": False}],
    }
    return {"nodes": {"if": condition_node(question(name, kind, condition, *values), needs=[], interface=interface)}}


@pytest.mark.parametrize(
    "document",
    [
        asked("integer", "==", 1, name="other"),
        asked("integer", "==", 1, declared="string"),
        asked("filename", "==", "a", declared="string"),
        asked("string", "==", "a", name="file", declared="string"),
        asked("boolean", "<", True),
        asked("object", "in", {}),
        asked("media-type", "contains", "text", name="file", declared="string"),
        asked("integer", "between", 1),
        asked("integer", "between", 1, 2, 3),
        asked("integer", "==", 1, 2),
        asked("integer", "==", "1"),
        asked("integer", "<", True),
        asked("string", "matches", 1),
        asked("object", "contains", 1),
        asked("filename", "in", "a", None, name="file", declared="string"),
    ],
)
def test_it_refuses_a_filter_that_cannot_be_asked(document: Json) -> None:
    assert fault(document) == "INVALID_CONDITION"


def test_a_condition_needs_its_required_input() -> None:
    condition = many_words("a")
    del condition["input"]["total"]
    assert fault(nodes(a=job_node(), b=condition)) == "PARAM_REQUIRED"


# --- Warning -------------------------------------------------------------------------------------


def test_it_warns_of_what_may_be_missing_or_of_another_media_type() -> None:
    optional = {"files": [{"name": "TEXT", "required": False}]}
    assert warnings(definition_of({"a": job_node()}, optional)) == ["MAY_BE_MISSING"]
    assert warnings(nodes(a=job_node("picky"))) == ["MISMATCHED_MEDIA_TYPES"]
    assert warnings(nodes(a=job_node(), b=follower("a", "picky"))) == ["MISMATCHED_MEDIA_TYPES"]
    exact = {"files": [{"name": "TEXT", "media_types": ["text/csv"]}]}
    assert warnings(definition_of({"a": job_node("picky")}, exact)) == []


def test_a_number_takes_an_integer_and_ancestors_are_near_enough() -> None:
    last = job_node(needs=after("b"), TEXT=from_node("a", "COUNTS"), limit=from_node("a", "total"))
    assert warnings(nodes(a=job_node(), b=follower("a"), c=last)) == []


# --- Anything at all -----------------------------------------------------------------------------

JUNK: list[Any] = [
    None, True, 0, -1, 1e308, "", "a", "\ud800", "x" * 5000, [], {}, [[]], {"": {}}, {"name": "a"}, float("nan"),
    10**400,
]  # fmt: skip


def mutated(value: Any, dice: random.Random) -> Any:
    """The value with some parts of it replaced, dropped or doubled."""
    if dice.random() < 0.04:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        kept = {k: mutated(v, dice) for k, v in value.items() if dice.random() > 0.03}
        return {**kept, **({dice.choice(["a", "name", "x y", ""]): dice.choice(JUNK)} if dice.random() < 0.03 else {})}
    if isinstance(value, list):
        found = [mutated(each, dice) for each in value]
        return found * 2 if dice.random() < 0.05 else found
    return value


@pytest.mark.parametrize("seed", range(40))
def test_any_value_is_read_or_refused_by_name(seed: int) -> None:
    dice = random.Random(seed)
    whole = definition_of({**DIAMOND["nodes"], **FORK["nodes"], "inner": recipe_node("inner", needs=after("count"))})
    names = [verdict_on(mutated(whole, dice)) for _ in range(25)]
    assert all(name.isupper() for name in names if name)
    assert any(names)


def verdict_on(document: Any) -> str:
    """The name of what a definition is refused for, or nothing."""
    try:
        definition = parse(document)
        check(definition, KNOWN)
        filled(definition, KNOWN)
    except Invalid as error:
        return error.finding.name
    return ""
