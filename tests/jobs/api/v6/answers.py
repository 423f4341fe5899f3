"""What tests ask of the native surface's answers."""

from __future__ import annotations

import json
from typing import Any

from tests.factories import Person


def each_of(name: str, *values: Any) -> list[tuple[str, Any]]:
    """A field with each of these values."""
    return [(name, value) for value in values]


def each_body(name: str, field: str, body: dict[str, Any], *values: Any) -> list[tuple[str, dict[str, Any]]]:
    """The field at fault `name`, and `body` with each of these values in `field`."""
    return [(name, {**body, field: value}) for value in values]


def good(response: Any, status: int = 200) -> Any:
    """The body of a success with this status."""
    assert response.status_code == status, response.content.decode()
    return json.loads(response.content) if response.content else None


def assert_error(response: Any, status: int, code: str = "", *, field: str | None = None, index: Any = None) -> None:
    """Our one error shape; a 400 names its fields, and of a list the item's place."""
    assert response.status_code == status, response.content.decode()
    body = json.loads(response.content)
    assert set(body) == ({"detail", "code", "errors"} if status == 400 else {"detail", "code"}), body
    assert isinstance(body["detail"], str)
    assert body["detail"]
    if code:
        assert body["code"] == code, body
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    if status == 400:
        for fault in body["errors"]:
            assert set(fault) == {"field", "message", *(["index"] if index is not None else [])}, fault
            assert fault.get("index") == index
        if field is not None:
            assert field in [fault["field"] for fault in body["errors"]], body


def listed(person: Person, path: str, **parameters: Any) -> list[int]:
    """The ids in a list, one page."""
    return [row["id"] for row in good(person.get(path, **parameters))["results"]]


def walk(person: Person, path: str, link: str = "next", **parameters: Any) -> tuple[list[Any], str]:
    """Every row's id by following `link`, and the address of the last page."""
    answer = person.get(path, **parameters)
    found: list[Any] = []
    for _ in range(200):
        body = good(answer)
        ids = [row["id"] for row in body["results"]]
        found = [*found, *ids] if link == "next" else [*ids, *found]
        url = answer.request["PATH_INFO"] + "?" + answer.request["QUERY_STRING"]
        if body[link] is None:
            return found, url
        answer = person.client.get(body[link])
    raise AssertionError("the walk does not end")
