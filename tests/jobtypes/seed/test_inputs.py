from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from controlplane.core.errors import InvalidRequest
from jobtypes.seed.inputs import MAX_FILES, MAX_VALUE_BYTES, JobInput, check_media_types, read_input
from jobtypes.seed.manifest import read_manifest
from tests.jobtypes.seed.documents import (
    ODD_VALUES,
    attempt,
    fuzzed,
    json_values,
    manifest,
    mutations,
    nested,
    sample_manifest,
)

MANIFEST = manifest(
    interface={
        "inputs": {
            "files": [
                {"name": "one", "mediaTypes": ["text/plain"]},
                {"name": "many", "multiple": True, "required": False},
                {"name": "maybe", "required": False},
            ],
            "json": [
                {"name": "count", "type": "integer"},
                *({"name": f"{kind}-value", "type": kind, "required": False}
                  for kind in ("array", "boolean", "integer", "number", "object", "string")),
            ],
        }
    }
)  # fmt: skip


def valid() -> dict[str, Any]:
    return {"version": "6", "files": {"one": [1], "many": [2, 3]}, "json": {"count": 5, "object-value": {"a": [1]}}}


def refused_field(value: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        read_input(value, MANIFEST)
    assert caught.value.http_status == 400
    return caught.value.field


def test_a_valid_input_is_read_and_told_again() -> None:
    read = read_input(valid(), MANIFEST)
    assert read == JobInput({"one": [1], "many": [2, 3]}, {"count": 5, "object-value": {"a": [1]}})
    assert read.document() == {name: value for name, value in valid().items() if name != "version"}
    assert read_input(read.document(), MANIFEST) == read


@pytest.mark.parametrize("empty", [None, {}, {"files": {}, "json": {}}])
def test_a_manifest_without_inputs_takes_none(empty: Any) -> None:
    assert read_input(empty, manifest()) == JobInput({}, {})


def test_the_customers_own_sample_takes_its_inputs() -> None:
    read = read_input({"files": {"INPUT_TEXT": [7]}, "json": {"READ_LENGTH": 5}}, read_manifest(sample_manifest()))
    assert (read.files, read.json) == ({"INPUT_TEXT": [7]}, {"READ_LENGTH": 5})


def test_unknown_names_are_dropped() -> None:
    read = read_input({"files": {"one": [1], "x": "?"}, "json": {"count": 1, "y": None}}, MANIFEST)
    assert read == JobInput({"one": [1]}, {"count": 1})


@pytest.mark.parametrize("version", ["6", "7", "1.0"])
def test_known_versions_are_accepted(version: str) -> None:
    assert read_input(valid() | {"version": version}, MANIFEST).json["count"] == 5


@pytest.mark.parametrize("version", ["2.0", "", 6, None, [], {"6": 1}])
def test_another_version_is_refused(version: Any) -> None:
    assert refused_field(valid() | {"version": version}) == "input.version"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "input"),
        ("{}", "input"),
        (False, "input"),
        ({"more": 1}, "input.more"),
        ({"files": []}, "input.files"),
        ({"files": None}, "input.files"),
        ({"json": "x"}, "input.json"),
        ({}, "input.files.one"),
        ({"files": {"one": [1]}}, "input.json.count"),
        ({"files": {"one": []}}, "input.files.one"),
        ({"files": {"one": 1}}, "input.files.one"),
        ({"files": {"one": None}}, "input.files.one"),
        ({"files": {"one": ["1"]}}, "input.files.one"),
        ({"files": {"one": [True]}}, "input.files.one"),
        ({"files": {"one": [1.0]}}, "input.files.one"),
        ({"files": {"one": [0]}}, "input.files.one"),
        ({"files": {"one": [-1]}}, "input.files.one"),
        ({"files": {"one": [2**63]}}, "input.files.one"),
        ({"files": {"one": [1, 2]}}, "input.files.one"),
        ({"files": {"one": [1], "many": []}}, "input.files.many"),
        ({"files": {"one": [1], "many": [2, 2]}}, "input.files.many"),
        ({"files": {"one": [1], "many": list(range(1, MAX_FILES + 2))}}, "input.files.many"),
        ({"files": {"one": [1], "count": [1]}}, "input.files.count"),
        ({"files": {"one": [1]}, "json": {"count": 1, "one": 5}}, "input.json.one"),
        ({"files": {"one": [1]}, "json": {"count": 1, "x": "\0"}}, "input.json.x"),
        ({"files": {"one": [1]}, "json": {"count": float("inf")}}, "input.json.count"),
        ({"files": {"one": [1]}, "json": {"count": 1, "array-value": nested(40)}},
         "input.json.array-value" + "[0]" * 30),
        ({"files": {"one": [1]}, "json": {"count": 1, "string-value": "é" * (MAX_VALUE_BYTES // 2 + 1)}},
         "input.json.string-value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_field(value: Any, field: str) -> None:
    assert refused_field(value) == field


SAMPLES: dict[str, list[Any]] = {
    "array": [[], [1, "a"]],
    "boolean": [True, False],
    "integer": [0, -5, 10**30, 5.0],
    "number": [0.5, -1.5],
    "object": [{}, {"a": None}],
    "string": ["", "a b"],
}


@pytest.mark.parametrize("declared", SAMPLES)
@pytest.mark.parametrize("given_type", [*SAMPLES, "null"])
def test_a_value_must_be_of_its_type(declared: str, given_type: str) -> None:
    fits = declared == given_type or (declared, given_type) == ("number", "integer")
    for value in SAMPLES.get(given_type, [None]):
        document = {"files": {"one": [1]}, "json": {"count": 1, f"{declared}-value": value}}
        if fits:
            assert read_input(document, MANIFEST).json[f"{declared}-value"] == value
        else:
            assert refused_field(document) == f"input.json.{declared}-value"


def test_a_whole_number_with_a_point_becomes_an_integer() -> None:
    assert repr(read_input({"files": {"one": [1]}, "json": {"count": 5.0}}, MANIFEST).json["count"]) == "5"


@fuzzed
@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    _try(value)


@fuzzed
@given(mutations(valid))
def test_any_change_to_a_valid_one_is_read_or_refused(value: Any) -> None:
    _try(value)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_odd_values_anywhere_are_read_or_refused(odd: Any) -> None:
    for name in ("version", "files", "json"):
        _try(valid() | {name: odd})
    _try({"files": {"one": odd}, "json": {"count": odd}})
    _try({"files": {"one": [odd]}, "json": {"count": 1, "array-value": [odd]}})


def _try(value: Any) -> None:
    outcome = attempt(lambda: read_input(value, MANIFEST), InvalidRequest)
    if isinstance(outcome, JobInput):
        assert read_input(outcome.document(), MANIFEST) == outcome
    else:
        assert outcome.field.startswith("input")
        assert outcome.field.isprintable()


class TestMediaTypes:
    @pytest.mark.parametrize("found", ["text/plain", "TEXT/Plain", "text/plain; charset=utf-8", " text/plain "])
    def test_a_listed_media_type_is_accepted(self, found: str) -> None:
        check_media_types(MANIFEST, JobInput({"one": [1]}, {}), {1: found})

    @pytest.mark.parametrize("found", [{1: "text/html"}, {1: ""}, {}, {2: "text/plain"}])
    def test_another_one_is_refused(self, found: dict[int, str]) -> None:
        with pytest.raises(InvalidRequest) as caught:
            check_media_types(MANIFEST, JobInput({"one": [1]}, {}), found)
        assert caught.value.field == "input.files.one"

    def test_an_input_that_lists_none_takes_any(self) -> None:
        check_media_types(MANIFEST, JobInput({"many": [2, 3]}, {}), {2: "image/png"})
