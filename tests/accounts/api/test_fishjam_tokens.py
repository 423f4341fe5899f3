"""/api/v1/tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from accounts import services
from tests.factories import Person
from tests.people import WHO, everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/tokens"


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def session(person: Person) -> Client:
    client = Client()
    client.force_login(person.user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("who", WHO)
def test_everybody_lists_and_archives_their_own_only(who: str, people: Mapping[str, Person]) -> None:
    listed = people[who].get(TOKENS)
    others = people["stranger" if who != "stranger" else "owner"].user.tokens.get()
    if who in ("anonymous", "disabled"):
        assert (listed.status_code, listed.json()) == (401, {"detail": "Unauthorized"})
        assert people[who].delete(f"{TOKENS}/{others.uuid}").status_code == 401
        return
    own = people[who].user.tokens.get()
    assert [each["uuid"] for each in listed.json()] == [str(own.uuid)]
    assert set(listed.json()[0]) == {"uuid", "prefix", "created_at", "last_used_at"}
    assert people[who].delete(f"{TOKENS}/{others.uuid}").status_code == 404
    others.refresh_from_db()
    assert others.archived_at is None


def test_a_session_makes_a_token_that_works_until_it_is_archived(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    client = session(owner)
    with within_budget("POST /api/v1/tokens"):
        made = client.post(TOKENS)
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    new = Person(owner.user, made.json()["token"])
    with within_budget("GET /api/v1/tokens"):
        newest = client.get(TOKENS).json()[0]
    assert newest["prefix"] == new.token[:8]
    path = f"{TOKENS}/{newest['uuid'].replace('-', '').upper()}"
    services.note_use(new.token)
    with within_budget("DELETE /api/v1/tokens"):
        assert new.delete(path).status_code == 200
    assert new.get(TOKENS).status_code == 401
    assert client.delete(path).status_code == 404
    assert len(client.get(TOKENS).json()) == 1


def test_a_token_makes_no_token_unless_the_setting_says_so(people: Mapping[str, Person], settings: Any) -> None:
    assert people["owner"].post(TOKENS).status_code == 403
    settings.TOKENS_MAY_MANAGE_ACCOUNT = True
    assert people["owner"].post(TOKENS).status_code == 201


def test_a_disabled_user_s_session_makes_nothing(people: Mapping[str, Person]) -> None:
    client = session(people["owner"])
    services.disable_user(username="owner", actor=None)
    assert client.post(TOKENS).status_code == 401
