"""What the filters of a condition find."""

from __future__ import annotations

from typing import Any

import pytest

from jobtypes.recipe.conditions import FileFacts, read_filters
from tests.recipes import question


def accepts(values: dict[str, Any], *questions: Any, every: bool = True, files: Any = None) -> bool:
    return read_filters({"filters": list(questions), "all": every}).accept(files or {}, values)


@pytest.mark.parametrize(
    ("kind", "condition", "wanted", "value", "met"),
    [
        ("integer", "==", [5], 5, True),
        ("integer", "==", [5], 6, False),
        ("integer", "==", [1], True, False),
        ("integer", "!=", [5], 6, True),
        ("number", "<", [0.5], 0.4, True),
        ("number", "<", [0.5], 0.5, False),
        ("number", "<=", [0.5], 0.5, True),
        ("integer", ">", [5], 6, True),
        ("integer", ">=", [5], 4, False),
        ("integer", "between", [1, 3], 3, True),
        ("integer", "between", [1, 3], 4, False),
        ("integer", "in", [1, 3], 3, True),
        ("integer", "not in", [1, 3], 3, False),
        ("integer", "not in", [1, 3], 2, True),
        ("string", "==", ["a"], "a", True),
        ("string", "<", ["b"], "a", True),
        ("string", "contains", ["ell"], "hello", True),
        ("string", "contains", ["x"], "hello", False),
        ("string", "matches", ["h*o"], "hello", True),
        ("string", "matches", ["H*"], "hello", False),
        ("string", "==", ["5"], 5, False),
        ("boolean", "==", [True], True, True),
        ("boolean", "==", [True], False, False),
        ("boolean", "!=", [True], False, True),
        ("array", "contains", [2], [1, 2], True),
        ("array", "contains", [1], [True], False),
        ("array", "==", [[1, [2]]], [1, [2]], True),
        ("array", "==", [[1]], [True], False),
        ("object", "==", [{"a": 1}], {"a": 1}, True),
        ("object", "==", [{"a": 1}], {"a": 1, "b": 2}, False),
        ("object", "contains", ["a"], {"a": None}, True),
        ("integer", "==", [5], "five", False),
    ],
)
def test_a_value_meets_a_filter_or_not(kind: str, condition: str, wanted: list[Any], value: Any, met: bool) -> None:
    assert accepts({"v": value}, question("v", kind, condition, *wanted)) is met


FILES = {"F": [FileFacts("a.txt", "text/plain"), FileFacts("b.csv", "text/csv")]}


@pytest.mark.parametrize(
    ("kind", "condition", "wanted", "all_files", "met"),
    [
        ("filename", "==", ["a.txt"], False, True),
        ("filename", "==", ["a.txt"], True, False),
        ("filename", "matches", ["*.txt"], False, True),
        ("filename", "matches", ["?.*"], True, True),
        ("filename", "contains", [".c"], False, True),
        ("filename", "in", ["x", "b.csv"], False, True),
        ("filename", "not in", ["a.txt"], True, False),
        ("media-type", "in", ["text/plain", "text/csv"], True, True),
        ("media-type", "matches", ["image/*"], False, False),
        ("media-type", "!=", ["text/csv"], False, True),
    ],
)
def test_one_file_or_all_of_them_meet_a_filter(
    kind: str, condition: str, wanted: list[str], all_files: bool, met: bool
) -> None:
    assert accepts({}, question("F", kind, condition, *wanted, all_files=all_files), files=FILES) is met


def test_all_filters_are_to_be_met_or_one_of_them() -> None:
    yes, no = question("v", "integer", "==", 1), question("v", "integer", "==", 2)
    assert not accepts({"v": 1}, yes, no)
    assert accepts({"v": 1}, yes, no, every=False)
    assert accepts({"v": 1}, yes, yes)


@pytest.mark.parametrize("condition", ["==", "!=", "not in"])
def test_what_is_not_there_meets_nothing(condition: str) -> None:
    assert not accepts({}, question("v", "integer", condition, 1))
    assert not accepts({}, question("F", "filename", condition, "a", all_files=True), files={"F": []})
