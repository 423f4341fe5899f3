"""What /v6/access/explain/ says of every operation to everybody, held to the table of who may call what."""

from __future__ import annotations

import tomllib
from typing import Final

import pytest

from accounts import services
from tests.answers import json_of
from tests.factories import Person
from tests.schema.scenery import Scenery
from tests.schema.test_permissions import (  # noqa: F401 - fixtures
    MAY,
    TABLE,
    WHO,
    operations,
    own_names,
    path_of,
    people,
    scenery,
    table,
)

# Here the body says for whom.
BY_THE_BODY: Final = frozenset(
    {
        ("create_job", "stranger"),
        ("mapsor_submit_job", "stranger"),
        *(("create_container", who) for who in ("operator", "monitor", "colleague", "stranger")),
    }
)


def explained(asker: Person, token: str, method: str, path: str) -> dict[str, object]:
    asked = {"token_prefix": token[:8], "method": method.upper(), "path": path}
    found: dict[str, object] = json_of(asker.client.get("/v6/access/explain/", asked))
    return found


@pytest.mark.runs_once("sqlite", "who may what is decided before the database is asked")
@pytest.mark.django_db
def test_it_says_what_happens(scenery: Scenery, people: dict[str, Person | None]) -> None:  # noqa: F811
    admin, owner = scenery.people["admin"], scenery.people["customer"].user
    names, wrong = own_names(owner), []
    for operation in operations().values():
        path = path_of(operation, names, owner)
        for who, expected in zip(WHO, table()[operation.id], strict=True):
            person = people[who]
            if person is None or (operation.id, who) in BY_THE_BODY:
                continue
            said = explained(admin, person.token, operation.method, path)
            if (MAY if said["allowed"] else str(said["status"])) != expected:
                wrong.append(f"{operation.id} {who}: {expected}, but {said['rules']}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.runs_once("sqlite", "who may what is decided before the database is asked")
@pytest.mark.django_db
def test_it_says_how_far_a_token_reaches(scenery: Scenery) -> None:  # noqa: F811
    admin, owner = scenery.people["admin"], scenery.people["customer"].user
    needed = {name: scope for scope, found in tomllib.loads(TABLE.read_text())["scopes"].items() for name in found}
    token = services.create_token(user=admin.user, actor=None, scope="submit").secret
    names, wrong = own_names(owner), []
    for operation in operations().values():
        if operation.id not in needed:
            continue
        said = explained(admin, token, operation.method, path_of(operation, names, owner))
        (rule,) = [rule for rule in said["rules"] if rule["rule"] == "scope"]  # type: ignore[attr-defined]
        if rule["passed"] != (needed[operation.id] in ("read", "submit")):
            wrong.append(f"{operation.id}: {rule}")
    assert not wrong, "\n" + "\n".join(wrong)
