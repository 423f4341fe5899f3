from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from jobtypes.seed.documents import MAX_DEPTH, Fault, check, find_fault, parse
from jobtypes.seed.verdicts import Finding, Invalid, listed, spelled_name
from tests.jobtypes.seed.documents import fuzzed, json_values, nested


@fuzzed
@given(json_values)
def test_what_has_no_fault_can_be_kept_and_read_again(value: Any) -> None:
    if find_fault(value) is None:
        content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        assert b"\0" not in content
        assert parse(content) == value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, {"b": "\0"}]}, "a[1].b"), ([[], [float("nan")]], "[1][0]"), ("\0", ""),
        ({"a\n": {"x": 10**400}}, "a\\n.x"),
        ({"a": {"\0": 1}}, "a"), ({"a": [[1], [2, {}]], "b": ["\0"]}, "b[0]"), ({"a" * 100: "\0"}, "a" * 64),
    ],
)  # fmt: skip
def test_a_fault_is_found_where_it_is(value: Any, path: str) -> None:
    found = find_fault(value)
    assert found is not None
    assert found.path == path


def test_the_depth_is_bounded() -> None:
    assert find_fault(nested(MAX_DEPTH)) is None
    found = find_fault(nested(MAX_DEPTH + 1))
    assert found == Fault("[0]" * MAX_DEPTH, f"must not be nested deeper than {MAX_DEPTH} levels")


@pytest.mark.parametrize(("value", "size"), [("é", 4), ([1, 2], 5), ({"a": None}, 10), ([], 2), (1, 1)])
def test_the_size_is_that_of_compact_json_in_utf8(value: Any, size: int) -> None:
    assert find_fault(value, max_bytes=size) is None
    assert find_fault(value, max_bytes=size - 1) == Fault("", f"must not be larger than {size - 1} bytes as JSON")


def test_what_is_shared_counts_as_often_as_it_is_written() -> None:
    value: Any = [1]
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]
    assert find_fault(value) == Fault("", "must not be larger than 1048576 bytes as JSON")


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ({"minLength": 5}, "must have at least 5 characters"),
        ({"pattern": "^[0-9]+$"}, "must match ^[0-9]+$"),
        ({"pattern": "^[0-9]+$", "description": "digits only"}, "must be digits only"),
        ({"not": {}}, "breaks the rule not"),
    ],
)
def test_a_broken_rule_is_told_without_the_value(schema: dict[str, Any], rule: str) -> None:
    assert check("gr5t", Draft202012Validator(schema)) == Fault("", rule)


def test_too_few_members_are_told() -> None:
    validator = Draft202012Validator({"properties": {"a": {"minItems": 2}, "b": {"minProperties": 1}}})
    assert check({"a": [1]}, validator) == Fault("a", "must have at least 2 members")
    assert check({"b": {}}, validator) == Fault("b", "must have at least 1 members")


def test_findings_are_told_with_their_name() -> None:
    error = Invalid("SOME_NAME", "It is so.", where="manifest")
    assert (str(error), error.finding, error.where) == (
        "SOME_NAME: It is so.",
        Finding("SOME_NAME", "It is so."),
        "manifest",
    )


def test_names_of_strangers_are_cut_and_spelled_out() -> None:
    assert spelled_name("名" * 100) == "名" * 64
    assert spelled_name("a\n\ud800") == "a\\n\\ud800"
    assert listed([str(n) for n in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed({"a\0": 1}) == "a\\x00"
