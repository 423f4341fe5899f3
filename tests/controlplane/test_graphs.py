"""Graphs as they stand in a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from controlplane.core.graphs import Look, shown_graph

EVIL: Final = "<script>'\"&"


@dataclass(frozen=True)
class _Box:
    name: str
    shape: str = "job"
    text: str = EVIL
    detail: str = "runs"
    title: str = "whole"
    x: int = 8
    y: int = 8
    width: int = 200
    height: int = 46


@dataclass(frozen=True)
class _Edge:
    label: str = ""
    points: tuple[tuple[int, int], ...] = ((208, 31), (288, 131))


@dataclass(frozen=True)
class _Graph:
    boxes: tuple[_Box, ...] = (_Box("a"),)
    edges: tuple[_Edge, ...] = ()
    left_out: int = 0
    width: int = 300
    height: int = 200


def _svg(graph: _Graph, label: str = "what it is", **looks: Look) -> ElementTree.Element:
    shown = f"<div>{shown_graph(graph, label, looks)}</div>"
    found = ElementTree.fromstring(shown).find(".//svg")  # noqa: S314 - it is our own
    assert found is not None
    return found


def test_it_says_what_it_is_and_scrolls() -> None:
    svg = _svg(_Graph(), label=EVIL)
    assert (svg.get("role"), svg.get("aria-label")) == ("group", EVIL)
    assert (svg.get("width"), svg.get("viewBox")) == ("300", "0 0 300 200")
    assert "cp-scroll" in shown_graph(_Graph(), "x", {})


def test_all_that_is_shown_is_escaped() -> None:
    look = Look(tone=EVIL, word=EVIL, url=f"/a?{EVIL}")
    graph = _Graph((_Box("a", title=EVIL, detail=EVIL),), (_Edge(EVIL),))
    svg = _svg(graph, a=look)
    assert "<script" not in shown_graph(graph, EVIL, {"a": look})
    assert [each.text for each in svg.iter("text")] == [EVIL, EVIL, EVIL]


def test_a_box_has_its_tone_its_word_and_leads_somewhere() -> None:
    svg = _svg(_Graph((_Box("a"), _Box("b"))), a=Look("bad", "FAILED", "/jobs/1/"))
    link = svg.find("a")
    assert link is not None
    assert link.get("href") == "/jobs/1/"
    group = link.find("g")
    assert group is not None
    assert group.get("class") == "cp-node cp-bad"
    assert [each.text for each in group] == ["whole – FAILED", None, EVIL, "FAILED"]
    other = svg.find("g")
    assert other is not None
    assert other.get("class") == "cp-node cp-quiet"
    assert [each.text for each in other] == ["whole", None, EVIL, "runs"]


def test_shapes_are_told_apart() -> None:
    shapes = {
        shape: [each.tag for each in _svg(_Graph((_Box("a", shape),))).find("g") or () if each.tag in ("rect", "path")]
        for shape in ("job", "recipe", "condition")
    }
    assert shapes == {"job": ["rect"], "recipe": ["rect", "path"], "condition": ["path"]}


def test_an_edge_is_curved_between_columns_and_straight_through_them() -> None:
    svg = _svg(_Graph(edges=(_Edge("refused", ((0, 0), (80, 40), (280, 40), (360, 0))),)))
    assert svg.find("path").get("d") == "M0 0C40 0 40 40 80 40L280 40C320 40 320 0 360 0"  # type: ignore[union-attr]
    word = svg.find("text")
    assert word is not None
    assert (word.text, word.get("x"), word.get("y")) == ("refused", "320", "16")


def test_edges_that_are_left_out_are_owned_up_to() -> None:
    assert "12 more edges" in shown_graph(_Graph(left_out=12), "x", {})
    assert "more edges" not in shown_graph(_Graph(), "x", {})
