"""The schema as a document: what is committed is what is served, its examples hold, and people can read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.contracts import harness
from tests.contracts.harness import Operation
from tests.environment import CHECKOUT

COMMITTED: Final = CHECKOUT / "docs" / "openapi.yaml"
OPERATIONS: Final = [pytest.param(each, id=each.id) for each in harness.generated().operations().values()]


def test_what_is_committed_is_what_is_served() -> None:
    """Each change of the wire shows in a diff: `make schema` writes the file anew."""
    committed = yaml.safe_load(COMMITTED.read_text())
    served = harness.generated().content
    for part in ("paths", "components"):
        names = committed[part].keys() | served[part].keys()
        differing = sorted(name for name in names if committed[part].get(name) != served[part].get(name))
        assert differing == [], f"{part} have changed: run make schema, and look at the diff"
    assert committed == served


def examples_of(operation: Operation) -> Iterator[tuple[Any, Any]]:
    """Each example with the schema of what it is an example of."""
    body = operation.body()
    answers = [operation.response(status) for status in operation.statuses()]
    for described in ([body] if body else []) + answers:
        for content in described.get("content", {}).values():
            for example in content.get("examples", {}).values():
                yield example["value"], content["schema"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_its_examples_hold(operation: Operation) -> None:
    for value, schema in examples_of(operation):
        assert operation.document.faults(value, schema) == [], value


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_takes_a_body_that_is_needed_shows_one(operation: Operation) -> None:
    body = operation.body()
    if body and body.get("required") and not operation.id.startswith(("mapsor_", "mapreduce_", "fishjam_")):
        assert all("examples" in content for content in body["content"].values())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_says_what_it_does_and_what_each_status_means(operation: Operation) -> None:
    assert operation.spec["summary"]
    assert operation.spec.get("description"), "say what it does for whom"
    for status in operation.statuses():
        if status >= 400:
            assert operation.response(status)["description"]


def test_every_enum_is_named_for_what_it_says() -> None:
    names = [name for name, schema in harness.generated().content["components"]["schemas"].items() if "enum" in schema]
    assert [name for name in names if not name.endswith("Enum")] == []
    # drf-spectacular makes up a name with a number of its own where two differ.
    assert [name for name in names if any(letter.isdigit() for letter in name)] == []
