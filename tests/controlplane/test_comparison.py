"""Two documents beside each other."""

from __future__ import annotations

import re
from typing import Any

from controlplane.core.comparison import MOST_LINES, beside

HEADS = ("before", "after")


def _rows(left: Any, right: Any) -> list[tuple[str, str, str]]:
    found = re.findall(r"<tr class='([^']*)'><td><pre>(.*?)</pre></td><td><pre>(.*?)</pre>", beside(left, right, HEADS))
    return [(standing, one.strip(), other.strip()) for standing, one, other in found]


def test_equal_documents_are_shown_whole() -> None:
    rows = _rows({"a": 1, "b": [2]}, {"a": 1, "b": [2]})
    assert {standing for standing, *_ in rows} == {""}
    assert [one for _, one, _ in rows] == [other for *_, other in rows]


def test_what_differs_is_marked_on_its_side() -> None:
    rows = _rows({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert [row for row in rows if row[0]] == [("cp-both", "&quot;b&quot;: 2", "&quot;b&quot;: 3")]
    rows = _rows([1, 2, 3], [1, 3])
    assert [row for row in rows if row[0]] == [("cp-old", "2,", "")]
    rows = _rows([1, 3], [1, 2, 3])
    assert [row for row in rows if row[0]] == [("cp-new", "", "2,")]


def test_long_equal_parts_are_left_out() -> None:
    left, right = list(range(100)), list(range(100))
    right[50] = -1
    rows = _rows(left, right)
    assert [standing for standing, *_ in rows] == ["cp-gap", *[""] * 3, "cp-both", *[""] * 3, "cp-gap"]


def test_what_is_in_a_document_is_not_markup() -> None:
    shown = beside({"a": "<script>"}, {"a": "<b>"}, ("<i>", "x"))
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;i&gt;" in shown


def test_documents_of_any_length_are_compared() -> None:
    alike = [0] * (MOST_LINES - 2)  # the worst case of comparing: every line is like every other
    assert "cp-new" in beside(alike[1:], alike, HEADS)
    assert "too long" in beside([*alike, 0], alike, HEADS)
