"""What no client means to send: bytes that are no text, bodies without end, numbers beyond all measure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pytest
from django.test import Client

from tests.contracts import harness
from tests.contracts.harness import Operation
from tests.deployment import present_database
from tests.factories import Person, make_admin, make_job
from tests.schema.trial import short_streams

GETS: Final = [each for (method, _), each in harness.generated().operations().items() if method == "get"]
BODIES: Final = [each for each in harness.generated().operations().values() if each.body()]
VALUES: Final = {
    "no UTF-8": "%ff%fe",
    "a NUL": "a%00b",
    "half a pair": "%ed%a0%80",
    "empty": "",
    "huge": "9" * 400,
    "beyond 64 bits": str(2**64),
    "negative": "-1",
    "not a number": "NaN",
    "long": "a" * 5000,
    "other digits": "%D9%A3",
}
RAW: Final = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "with a mark": b'\xef\xbb\xbf{"name": "a"}',
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "deep object": b'{"tags":' * 20_000 + b"1" + b"}" * 20_000,
    "not a number": b'{"priority": NaN, "max_vcpus": Infinity}',
    "a list": b"[]",
    "a list of lists": b"[[]]",
    "null": b"null",
    "text": b'"text"',
    "a number of 5000 digits": b"9" * 5000,
}
FIELD_VALUES: Final[dict[str, Any]] = {
    "huge": 10**400,
    "beyond 64 bits": 2**64,
    "negative": -(2**63) - 1,
    "beyond floats": 1e308,
    "a NUL": "a\0b",
    "half a pair": "\ud800",
    "empty": "",
    "long": "a" * 70_000,
    "object": {"a": {}},
    "list": [[None]],
    "true": True,
    "null": None,
}
# Each operation gets every second, others than the next one; fewer on SQLite: it is PostgreSQL that refuses text and
# numbers by itself.
STEP: Final = 2 if present_database() == "postgresql" else 6


def some_of(values: Iterable[Any], operations: Sequence[Operation], operation: Operation) -> Iterator[Any]:
    return itertools.islice(values, operations.index(operation) % STEP, None, STEP)


def checked(operation: Operation, response: Any) -> None:
    """The answer is one that the schema has, and its body is as it says."""
    answer = harness.read(response)
    assert answer.status < 500, answer.body
    if answer.status == 200 and response.headers["Content-Type"].startswith("text/event-stream"):
        return  # the schema tells of one of its events
    found = harness.violations(operation, answer)
    assert [each for each in found if "does not know" not in each] == [], (operation.id, answer)


def path_of(operation: Operation, job: str) -> str:
    names = {"{stream}": "combined", "{number}": "1", "{job}": job}
    parts = operation.path.split("/")
    shown = [names.get(part, job if part.startswith("{") else part) for part in parts]
    if "/jobs/" not in operation.path and "/status/" not in operation.path:
        shown = ["1" if part == job else part for part in shown]
    return "/".join(shown)


@pytest.fixture
def admin(db: None) -> Person:
    return make_admin()


def test_no_query_is_answered_with_a_failure(admin: Person) -> None:
    job = str(make_job(admin).uuid)
    client = Client(headers={"Authorization": f"Bearer {admin.token}"})
    for operation in GETS:
        path = path_of(operation, job)
        names = [name for place, name in operation.parameters() if place == "query"]
        for value in some_of(VALUES.values(), GETS, operation):
            for name in [*names, value]:
                with short_streams():
                    checked(operation, client.get(path, QUERY_STRING=f"{name}={value}"))


def test_no_body_is_answered_with_a_failure(admin: Person) -> None:
    job = str(make_job(admin).uuid)
    client = Client(headers={"Authorization": f"Bearer {admin.token}"})
    for operation in BODIES:
        send = getattr(client, operation.method)
        for raw in some_of(RAW.values(), BODIES, operation):
            checked(operation, send(path_of(operation, job), raw, content_type="application/json"))
        body = operation.body() or {}
        [schema] = [content["schema"] for content in body["content"].values()]
        shape = operation.document.resolved(schema)
        shape = operation.document.resolved(shape["oneOf"][0]) if "oneOf" in shape else shape
        required = dict.fromkeys(shape.get("required", ()), "customer")
        for name in shape.get("properties", {}):
            for value in some_of(FIELD_VALUES.values(), BODIES, operation):
                text = json.dumps({**required, name: value})
                checked(operation, send(path_of(operation, job), text, content_type="application/json"))


def test_what_nobody_foresaw_is_answered_as_the_schema_says(admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **more: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("jobs.queries.visible_jobs", fail)
    client = Client(headers={"Authorization": f"Bearer {admin.token}"}, raise_request_exception=False)
    answer = client.get("/v6/jobs/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/json")
    [operation] = [each for each in GETS if each.id == "list_jobs"]
    assert harness.violations(operation, harness.read(answer)) == []


def test_what_is_quoted_can_be_written(admin: Person) -> None:
    answer = admin.post("/v6/holds/", {"scope": "\ud800"})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert "\\ud800" in answer.json()["detail"]
