"""Definitions, drawn: where nodes and edges stand."""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

import pytest

from jobtypes.recipe import drawing
from jobtypes.recipe.definition import Definition, parse
from jobtypes.recipe.drawing import Drawing, draw
from jobtypes.recipe.schemas import MAX_NODES, NAME_LENGTH
from tests.recipes import CHAIN, DIAMOND, FORK, after, definition_of, job_node, recipe_node

Json = dict[str, Any]


def _nodes(*dependencies: tuple[int, ...]) -> Json:
    """A definition whose n-th node depends on these."""
    return definition_of(
        {f"n{i}": job_node(needs=after(*(f"n{j}" for j in above))) for i, above in enumerate(dependencies)}
    )


ONE = _nodes(())
MANY_ROOTS = _nodes(*[()] * 40, tuple(range(40)))
WIDE = _nodes((), *[(0,)] * (MAX_NODES - 1))
DEEP = _nodes((), *((i,) for i in range(MAX_NODES - 1)))
LEAPS = _nodes((), (0,), (0, 1), (0, 2), (0, 1, 3), (4,), (0, 5))
# As large as a document may be.
HALVES = _nodes(*[()] * 220, *[tuple(range(220))] * 220)
EVERY = _nodes(*(tuple(range(i)) for i in range(300)))
FAR = _nodes((), *((i,) for i in range(249)), *((i,) for i in range(250)))
ALL = {
    "one": ONE,
    "chain": CHAIN,
    "diamond": DIAMOND,
    "fork": FORK,
    "many roots": MANY_ROOTS,
    "wide": WIDE,
    "deep": DEEP,
    "leaps": LEAPS,
    "halves": HALVES,
    "every edge there can be": EVERY,
    "far": FAR,
}


def _drawn(document: Json) -> Drawing:
    return draw(parse(document))


@functools.cache
def _read(name: str) -> Definition:
    """One of ALL; to read the largest takes far longer than to draw it."""
    return parse(ALL[name])


@pytest.fixture(params=ALL)
def drawn(request: pytest.FixtureRequest) -> Drawing:
    return draw(_read(request.param))


def test_no_two_boxes_overlap_and_all_are_inside(drawn: Drawing) -> None:
    columns: dict[int, list[int]] = {}
    for box in drawn.boxes:
        assert box.x >= 0
        assert box.x + box.width <= drawn.width
        assert box.y >= 0
        assert box.y + box.height <= drawn.height
        columns.setdefault(box.x, []).append(box.y)
    assert all(other - one >= drawing.WIDTH for one, other in itertools.pairwise(sorted(columns)))
    for column in columns.values():
        assert all(other - one >= drawing.HEIGHT for one, other in itertools.pairwise(sorted(column)))


def test_every_edge_goes_to_the_right_from_a_box_to_a_box(drawn: Drawing) -> None:
    boxes = {box.name: box for box in drawn.boxes}
    for edge in drawn.edges:
        before, then = boxes[edge.before], boxes[edge.after]
        assert edge.points[0] == (before.x + before.width, before.y + before.height // 2)
        assert edge.points[-1] == (then.x, then.y + then.height // 2)
        assert all(one[0] < other[0] for one, other in itertools.pairwise(edge.points))
        assert all(0 <= y <= drawn.height for _, y in edge.points)


def test_no_edge_goes_through_a_box() -> None:
    for document in (FORK, LEAPS, FAR):
        drawn = _drawn(document)
        for edge, box in itertools.product(drawn.edges, drawn.boxes):
            for one, other in zip(edge.points[1::2], edge.points[2::2], strict=False):
                within = box.x <= one[0] < box.x + box.width and one[0] < other[0]
                assert not (within and box.y < one[1] < box.y + box.height), (edge, box)


def test_its_size_is_bounded(drawn: Drawing) -> None:
    assert drawn.width <= MAX_NODES * (drawing.WIDTH + drawing.BETWEEN_COLUMNS) + 2 * drawing.MARGIN
    slots = MAX_NODES * (drawing.HEIGHT + drawing.BETWEEN_ROWS) + 3 * MAX_NODES * (drawing.LANE + drawing.BETWEEN_ROWS)
    assert drawn.height <= slots
    assert len(drawn.edges) <= drawing.MAX_EDGES
    assert sum(len(edge.points) for edge in drawn.edges) <= 2 * (drawing.MAX_EDGES + drawing.MAX_PASSED)


def test_what_is_not_drawn_is_counted() -> None:
    halves, every = draw(_read("halves")), draw(_read("every edge there can be"))
    assert (len(halves.edges), halves.left_out) == (2000, 220 * 220 - 2000)
    assert len(every.edges) + every.left_out == 300 * 299 // 2
    # The shortest edges are those that tell most: each node still has the one before it.
    assert {(f"n{i}", f"n{i + 1}") for i in range(299)} <= {(e.before, e.after) for e in every.edges}
    assert _drawn(DEEP).left_out == 0


def test_a_node_stands_after_the_longest_way_to_it() -> None:
    columns = {box.name: box.column for box in _drawn(LEAPS).boxes}
    assert columns == {"n0": 0, "n1": 1, "n2": 2, "n3": 3, "n4": 4, "n5": 5, "n6": 6}
    assert {box.column for box in _drawn(MANY_ROOTS).boxes if box.name != "n40"} == {0}


def test_the_same_definition_is_drawn_the_same() -> None:
    for document in (FORK, DIAMOND, LEAPS, WIDE):
        assert _drawn(document) == _drawn(document)


def test_edges_are_straight_where_they_can_be_and_do_not_cross_without_need() -> None:
    assert {box.y for box in _drawn(DEEP).boxes} == {drawing.MARGIN}
    # Two chains whose nodes come in the wrong order.
    crossed = _drawn(_nodes((), (), (1,), (0,), (2,), (3,)))
    tops = {box.name: box.y for box in crossed.boxes}
    assert tops["n0"] == tops["n3"] == tops["n5"]
    assert tops["n1"] == tops["n2"] == tops["n4"]
    middle = {box.name: box.y for box in _drawn(DIAMOND).boxes}
    assert middle["top"] == middle["bottom"] == (middle["left"] + middle["right"]) // 2


def test_what_is_high_begins_at_the_top() -> None:
    tops = {box.name: box.y for box in draw(_read("wide")).boxes}
    assert tops["n0"] == tops["n1"] == drawing.MARGIN


def test_a_long_name_is_cut_and_kept_whole_in_the_title() -> None:
    name = "n" * NAME_LENGTH
    box = _drawn(definition_of({name: recipe_node("r" * 1024)})).boxes[0]
    assert (len(box.text), len(box.detail)) == (drawing.NAME_SHOWN, drawing.DETAIL_SHOWN)
    assert box.text.endswith("…")
    assert name in box.title
    assert "r" * 1024 in box.title


def test_conditions_have_a_shape_of_their_own_and_their_edges_say_what_they_found() -> None:
    drawn = _drawn(FORK)
    boxes = {box.name: box for box in drawn.boxes}
    assert (boxes["many"].shape, boxes["many"].detail) == ("condition", "condition on total")
    assert (boxes["count"].shape, boxes["count"].detail) == ("job", "count-words 1.0.0")
    labels = {(edge.before, edge.after): edge.label for edge in drawn.edges}
    assert labels[("many", "long")] == "accepted"
    assert labels[("many", "short")] == "refused"
    assert labels[("count", "many")] == labels[("long", "after-long")] == ""
    assert _drawn(definition_of({"inner": recipe_node("words")})).boxes[0].shape == "recipe"


def test_nothing_is_drawn_of_no_nodes() -> None:
    drawn = _drawn(definition_of({}))
    assert (drawn.boxes, drawn.edges, drawn.left_out) == ((), (), 0)


@pytest.mark.parametrize("name", ["wide", "deep", "halves", "every edge there can be", "far"])
def test_the_largest_definitions_are_drawn_soon(name: str) -> None:
    definition = _read(name)
    started = time.process_time()
    draw(definition)
    assert time.process_time() - started < 1.5
