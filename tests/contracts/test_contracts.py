"""Every operation that is built takes and gives what its contract says, in every status it lists."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import pytest

from tests.contracts import fishjam, harness, mapreduce, mapsor, scale_v6
from tests.contracts.harness import NAMES, Answer, Document, Operation
from tests.query_budget import BUDGETS

# contract -> its tables: DIFFERENCES, EXTRA_FIELDS, EXTRA_IN_REFUSALS, SECURITY, TWINS, PROVOCATIONS, Scene
TABLES: Final[dict[str, ModuleType]] = {
    "mapsor": mapsor,
    "fishjam": fishjam,
    "mapreduce": mapreduce,
    "scale_v6": scale_v6,
}

BUILT: Final = [pytest.param(name, *pair, id=pair[0].id) for name in NAMES for pair in harness.built(name)]
PROVOKED: Final = [
    pytest.param(name, operation, status, id=f"{operation}-{status}")
    for name, table in TABLES.items()
    for operation, status in table.PROVOCATIONS
]


def operation_of(name: str, operation_id: str) -> Operation:
    [found] = [each for each in harness.contract(name).operations().values() if each.id == operation_id]
    return found


# --- What goes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "theirs", "ours"), BUILT)
def test_it_takes_what_the_contract_says(name: str, theirs: Operation, ours: Operation) -> None:
    """Both ways: a difference that is not in the table, and one in the table that is there no more."""
    assert harness.differences(theirs, ours) == set(TABLES[name].DIFFERENCES.get(theirs.id, {}))


@pytest.mark.parametrize(("name", "theirs", "ours"), BUILT)
def test_it_names_the_security_schemes_of_the_contract(name: str, theirs: Operation, ours: Operation) -> None:
    said = theirs.spec.get("security", harness.contract(name).content["security"])
    own = TABLES[name].SECURITY
    assert ours.spec.get("security", []) == (own or said)
    wanted = harness.contract(name).content["components"]["securitySchemes"]
    given = harness.generated().content["components"]["securitySchemes"]
    for scheme in {scheme for each in ours.spec.get("security", []) for scheme in each if own is None}:
        for key in ("type", "in", "name", "scheme"):
            assert given[scheme].get(key) == wanted[scheme].get(key), (scheme, key)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_the_contract_does_not_have_is_in_the_table_of_twins(name: str) -> None:
    theirs = harness.contract(name).operations()
    paths = {path for _, path in theirs}
    ours = harness.generated().operations()
    extra = {each.id for key, each in ours.items() if key not in theirs and key[1] in paths}
    assert extra == (set(TABLES[name].TWINS) if name in TABLES else set())


@pytest.mark.parametrize("name", TABLES)
def test_a_twin_takes_and_gives_the_same(name: str) -> None:
    ours = {each.id: each for each in harness.generated().operations().values()}
    for twin, of in TABLES[name].TWINS.items():
        assert harness.differences(ours[of], ours[twin]) == {f"operationId: {of} is {twin} here"}
        assert ours[twin].path == ours[of].path


# --- What comes out ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "operation", "status"), PROVOKED)
def test_it_answers_as_the_contract_says(
    name: str, operation: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES[name]
    answer = harness.read(table.PROVOCATIONS[operation, status](table.Scene(monkeypatch)))
    assert answer.status == status, answer.body
    extra = table.EXTRA_FIELDS.get(operation, frozenset()) if status < 300 else table.EXTRA_IN_REFUSALS
    assert harness.violations(operation_of(name, operation), answer, extra=extra) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_status_of_every_built_operation_is_tried(name: str) -> None:
    """But for those that the table of differences says we do not have."""
    wanted = {
        (theirs.id, status)
        for theirs, _ in harness.built(name)
        for status in theirs.statuses()
        if f"status {status}: is missing" not in TABLES[name].DIFFERENCES.get(theirs.id, {})
    }
    tried = set(TABLES[name].PROVOCATIONS) if name in TABLES else set()
    assert tried == wanted


@pytest.mark.parametrize(("name", "theirs", "ours"), BUILT)
def test_it_has_a_query_budget_on_both_databases(name: str, theirs: Operation, ours: Operation) -> None:
    """By its path, or by what stands before the path's parameters."""
    names = (f"{theirs.method.upper()} {path}" for path in (theirs.path, theirs.path.partition("/{")[0]))
    assert set(next(BUDGETS[each] for each in names if each in BUDGETS)) == {"sqlite", "postgresql"}


# --- All of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_built(name: str) -> None:
    assert harness.to_come(name) == []


@pytest.mark.parametrize(("name", "count"), [("mapsor", 13), ("fishjam", 48), ("mapreduce", 9), ("scale_v6", 13)])
def test_the_contract_is_all_there(name: str, count: int) -> None:
    operations = harness.contract(name).operations()
    assert len(operations) == count == len({each.id for each in operations.values()})


# --- The harness itself sees what it is to see ----------------------------------------------------

_CONTENT: Final[dict[str, Any]] = {
    "paths": {"/x": {}},
    "components": {
        "schemas": {
            "Colour": {"type": "string", "enum": ["red", "blue"]},
            "Thing": {
                "type": "object",
                "required": ["colour"],
                "properties": {
                    "colour": {"$ref": "#/components/schemas/Colour"},
                    "size": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
                },
            },
        }
    },
}
_THING: Final = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}
_MAKE_THING: Final[dict[str, Any]] = {
    "operationId": "make_thing",
    "parameters": [{"in": "path", "name": "id", "required": True, "schema": {"type": "string"}}],
    "requestBody": _THING,
    "responses": {
        "200": _THING,
        "401": {"headers": {"WWW-Authenticate": {}}, "content": {"text/plain": {"schema": {"type": "string"}}}},
        "204": {"description": "Nothing."},
    },
}


def _thing(**change: Any) -> Operation:
    """POST /x, with `change`; None takes a key away."""
    spec = {key: value for key, value in {**_MAKE_THING, **change}.items() if value is not None}
    return Operation(Document("test", _CONTENT), "post", "/x", spec)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({}, set()),
        ({"operationId": "other"}, {"operationId: make_thing is other here"}),
        ({"parameters": []}, {"path id: is missing"}),
        (
            {"parameters": [{"in": "path", "name": "id", "schema": {"type": "integer"}}]},
            {"path id: required True is False here", "path id: type string is integer here"},
        ),
        ({"requestBody": None}, {"body: is missing"}),
        (
            {"requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {}}}}}},
            {"body.colour: is missing", "body.size: is missing"},
        ),
        ({"responses": {"200": {}, "204": {}, "418": {}}}, {"status 401: is missing", "status 418: is ours"}),
    ],
)
def test_a_difference_is_seen(change: dict[str, Any], seen: set[str]) -> None:
    assert harness.differences(_thing(), _thing(**change)) == seen


@pytest.mark.parametrize(
    ("status", "headers", "body", "seen"),
    [
        (200, {"Content-Type": "application/json"}, b'{"colour": "red", "size": null}', []),
        (
            200, {"Content-Type": "application/json"}, b'{"colour": "green"}',
            ["$.colour: 'green' is not one of ['red', 'blue']"],
        ),
        (200, {"Content-Type": "application/json"}, b"{}", ["$: 'colour' is a required property"]),
        (200, {"Content-Type": "text/html"}, b"", ["content type 'text/html', not one of ['application/json']"]),
        (
            200, {"Content-Type": "application/json"}, b'{"colour": "red", "x": 1}',
            ["a field that the contract does not know: x"],
        ),
        (401, {"Content-Type": "text/plain; charset=utf-8"}, b"no", ["no header WWW-Authenticate"]),
        (204, {}, b"x", ["a body: b'x'"]),
        (404, {}, b"", ["404 is not in the contract"]),
    ],
)  # fmt: skip
def test_a_violation_is_seen(status: int, headers: dict[str, str], body: bytes, seen: list[str]) -> None:
    assert harness.violations(_thing(), Answer(status, headers, body)) == seen
