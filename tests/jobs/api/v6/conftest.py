"""The people who call, and a check of every JSON answer against the schema that is generated from the views."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
from django.test import Client

from accounts import services as accounts
from tests.contracts.harness import Operation, generated, read, violations
from tests.factories import Person, make_admin, make_customer_user, make_monitor, make_operator

UNDECLARED = {405}


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """Each path of the schema with its operations by method; those with fewer parameters first."""
    by_path: dict[str, dict[str, Operation]] = {}
    for (method, path), operation in generated().operations().items():
        by_path.setdefault(path, {})[method] = operation
    ordered = sorted(by_path, key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), by_path[path]) for path in ordered]


def operation_of(method: str, path: str) -> Operation | None:
    own = path if path.endswith("/") else path + "/"
    for pattern, operations in _paths():
        if pattern.fullmatch(own):
            return operations.get(method.lower())
    return None


class CheckedClient(Client):
    """Django's test client, which fails where an answer, or a body that was accepted, is not as the schema says."""

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        operation = operation_of(request["REQUEST_METHOD"], request["PATH_INFO"])
        if operation is None or response.streaming or response.status_code in UNDECLARED:
            return response
        answer = read(response)
        if answer.kind in ("", "application/json"):
            assert violations(operation, answer) == [], f"{operation.id} {answer.status}: {answer.body[:2000]!r}"
        self._check_body(operation, request, response)
        return response

    def _check_body(self, operation: Operation, request: dict[str, Any], response: Any) -> None:
        said = operation.body()
        sent = getattr(response.wsgi_request, "_body", b"") or request.get("_sent", b"")
        if said is None or "application/json" not in said["content"] or response.status_code >= 300 or not sent:
            return
        value = json.loads(sent)
        if value is None:
            return  # nothing at all, where a body may be left out
        faults = operation.document.faults(value, said["content"]["application/json"]["schema"])
        assert faults == [], f"{operation.id} took what its schema does not allow: {faults}"

    def generic(self, method: str, path: str, data: Any = "", *args: Any, **extra: Any) -> Any:  # type: ignore[override]
        extra["_sent"] = data.encode() if isinstance(data, str) else data
        return super().generic(method, path, data, *args, **extra)


class Nobody(Person):
    """Without a token."""

    @property
    def client(self) -> Client:
        return CheckedClient()


@pytest.fixture(autouse=True)
def _answers_fit_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(person: Person) -> Client:
        return CheckedClient(headers={"Authorization": f"Bearer {person.token}"})

    monkeypatch.setattr(Person, "client", property(client))


class People:
    """One of each kind, made when first called for. All customers' users are of acme but for the stranger."""

    def __getitem__(self, name: str) -> Person:
        person: Person = getattr(self, name)
        return person

    @functools.cached_property
    def admin(self) -> Person:
        return make_admin("root")

    @functools.cached_property
    def operator(self) -> Person:
        return make_operator("op")

    @functools.cached_property
    def monitor(self) -> Person:
        return make_monitor("watch")

    @functools.cached_property
    def owner(self) -> Person:
        return make_customer_user("owner")

    @functools.cached_property
    def colleague(self) -> Person:
        return make_customer_user("colleague")

    @functools.cached_property
    def stranger(self) -> Person:
        return make_customer_user("stranger", customer="other")

    @functools.cached_property
    def disabled(self) -> Person:
        person = make_customer_user("disabled")
        accounts.disable_user(username="disabled", actor=None)
        return person

    @functools.cached_property
    def anonymous(self) -> Person:
        return Nobody(make_customer_user("nobody").user, "")


@pytest.fixture
def people() -> People:
    return People()
