from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtypes.seed.sidecars import read_sidecar
from tests.jobtypes.seed.documents import attempt, fuzzed, json_values, mutations

POINT = {"type": "Point", "coordinates": [10.5, -20]}


def read(value: Any) -> dict[str, Any]:
    return read_sidecar(json.dumps(value).encode())


def feature() -> dict[str, Any]:
    polygon = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
    return {
        "type": "Feature",
        "geometry": polygon,
        "properties": {"dataStarted": "2020-01-01T00:00:00Z", "sourceTask": "t"},
    }


def test_a_feature_keeps_geometry_and_properties() -> None:
    value = feature() | {"id": 5, "bbox": [0, 0, 1, 1]}
    assert read(value) == {"geometry": value["geometry"], "properties": value["properties"]}


@pytest.mark.parametrize(
    "geometry",
    [
        POINT,
        {"type": "Point", "coordinates": [1, 2, 3]},
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]},
        {"type": "MultiPolygon", "coordinates": [[[[0, 0], [0, 1], [1, 1], [0, 0]]]]},
    ],
)
def test_a_bare_geometry_is_taken_for_a_feature_of_it(geometry: dict[str, Any]) -> None:
    assert read(geometry | {"more": 1}) == {"geometry": geometry, "properties": {}}


@pytest.mark.parametrize("value", [{"type": "Feature"}, {"type": "Feature", "geometry": None, "properties": None}])
def test_a_feature_may_be_empty(value: dict[str, Any]) -> None:
    assert read(value) == {"geometry": None, "properties": {}}


@pytest.mark.parametrize(
    "value",
    [
        {"type": "FeatureCollection", "features": []},
        {"type": "GeometryCollection", "geometries": [POINT]},
        {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": []}},
        {"type": "Feature", "geometry": feature()},
        {"type": "Feature", "geometry": []},
        {"type": "Feature", "geometry": POINT, "properties": []},
        {"type": "Circle", "coordinates": [1, 2]},
        {"type": ["Point"], "coordinates": [1, 2]},
        {"type": "Point"},
        {"type": "Point", "coordinates": [1]},
        {"type": "Point", "coordinates": ["1", "2"]},
        {"type": "Point", "coordinates": [True, False]},
        {"type": "Point", "coordinates": [[1, 2]]},
        {"type": "LineString", "coordinates": [1, 2]},
        {}, [], "Point", None, 5,
        {"type": "Feature", "properties": {"a": "\0"}},
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_reason(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        read(value)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("dataStarted", "2020-05-01T12:00:00Z", "2020-05-01T12:00:00Z"),
        ("dataEnded", "2020-05-01T12:00:00.5+02:00", "2020-05-01T10:00:00.500000Z"),
        ("sourceStarted", "2020-05-01T12:00:00", None),
        ("sourceEnded", "yesterday", None),
        ("dataStarted", 5, None),
        ("dataStarted", "0001-01-01T00:00:00+23:00", None),
        ("sourceSensorClass", "optical", "optical"),
        ("sourceSensor", 5, None),
        ("sourceCollection", "a" * 256, None),
        ("sourceTask", "", ""),
        ("cloud", {"cover": 0.5}, {"cover": 0.5}),
        ("mine", None, None),
    ],
)
def test_recognised_properties_are_kept_where_they_can_be_used(name: str, value: Any, kept: Any) -> None:
    assert read({"type": "Feature", "properties": {name: value}})["properties"].get(name) == kept


@fuzzed
@given(st.one_of(json_values, mutations(feature)))
def test_any_json_is_read_or_refused(value: Any) -> None:
    outcome = attempt(lambda: read_sidecar(json.dumps(value).encode()), ValueError)
    assert isinstance(outcome, ValueError) or set(outcome) == {"geometry", "properties"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b"NaN", b'{"type": "Point", "coordinates": [1e999, 0]}'],
)
def test_bytes_that_are_no_json_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        read_sidecar(content)
