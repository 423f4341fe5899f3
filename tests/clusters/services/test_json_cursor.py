"""JSON read a value at a time, wherever its text is cut."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pytest

from clusters.errors import PriceListUnreadable
from clusters.services import json_cursor
from clusters.services.json_cursor import JsonCursor

DOCUMENT: dict[str, Any] = {"a": {"x": [1, 2.5, 'ü \\ "'], "y": {}}, "b": None, "c": {}, "d": 1234567}


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_cursor, "CHUNK", 1)


def read(text: str) -> dict[str, Any]:
    cursor = JsonCursor(io.StringIO(text))
    return {name: cursor.value() for name in cursor.members()}


@pytest.mark.parametrize("indent", [None, 2])
def test_members_come_one_by_one_however_they_are_laid_out(indent: int | None) -> None:
    found = read(json.dumps(DOCUMENT, indent=indent))
    assert found == DOCUMENT
    assert found["a"]["x"][1] == Decimal("2.5")
    assert isinstance(found["a"]["x"][1], Decimal)


def test_objects_inside_are_walked_too() -> None:
    cursor = JsonCursor(io.StringIO(json.dumps(DOCUMENT)))
    found: list[tuple[Any, ...]] = []
    for name in cursor.members():
        found += (
            [(name, inner, cursor.value()) for inner in cursor.members()] if name == "a" else [(name, cursor.value())]
        )
    assert found[1] == ("a", "y", {})


def test_documents_one_after_the_other() -> None:
    cursor = JsonCursor(io.StringIO(' {"a": 1}\n{"a": 12} 17'))
    found: list[Any] = []
    while cursor.peek():
        found.append(cursor.value())
    assert found == [{"a": 1}, {"a": 12}, 17]


@pytest.mark.parametrize("text", ["", "[1]", '{"a" 1}', '{"a": }', '{"a": 1', '{"a": 1 "b": 2}', "{1: 2}", '{"a": "'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(PriceListUnreadable):
        read(text)


def test_a_value_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_cursor, "LONGEST", 10)
    with pytest.raises(PriceListUnreadable, match="longer"):
        read(json.dumps({"a": "x" * 100}))
