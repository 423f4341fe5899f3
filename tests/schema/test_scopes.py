"""How far a token has to reach for each operation there is, held to the table in permissions.toml."""

from __future__ import annotations

import tomllib

import pytest

from accounts import services
from accounts.models import TokenScope
from tests.factories import Person
from tests.schema.scenery import make_scenery
from tests.schema.test_permissions import MAY, TABLE, answer_to, operations, own_names, path_of, table

SCOPES = list(TokenScope.values)


def needed() -> dict[str, str]:
    """The least scope of each operation, by its id."""
    rows = tomllib.loads(TABLE.read_text())["scopes"]
    return {name: scope for scope, names in rows.items() for name in names}


def for_everybody() -> set[str]:
    return {name for name, row in table().items() if row[-1] == MAY}


def test_every_operation_that_asks_who_calls_needs_a_scope() -> None:
    assert set(needed()) == set(operations()) - for_everybody()


@pytest.mark.runs_once("sqlite", "what a token reaches to is decided before the database is asked")
@pytest.mark.django_db
def test_a_token_reaches_as_far_as_the_table_says() -> None:
    scenery = make_scenery()
    admin, owner = scenery.people["admin"], scenery.people["customer"].user
    tokens = [services.create_token(user=admin.user, actor=None, scope=scope).secret for scope in SCOPES]
    names, found = own_names(owner), {}
    for operation in operations().values():
        if operation.id in for_everybody():
            continue
        path, refused = path_of(operation, names, owner), []
        for scope, token in zip(SCOPES, tokens, strict=True):
            said: list[str] = []
            answer_to(Person(admin.user, token), operation, path, said)
            if any("does not reach" in text for text in said):
                refused.append(scope)
        assert refused == SCOPES[: len(refused)] != SCOPES, operation.id
        found[operation.id] = SCOPES[len(refused)]
    wrong = sorted(f"{found[name]} {name}" for name in found if found[name] != needed().get(name))
    assert not wrong, "\n" + "\n".join(wrong)
