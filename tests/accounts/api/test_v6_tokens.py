"""/v6/tokens/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken, Event, TokenScope
from controlplane.core.remembered import forget_all
from tests.answers import json_of, text_of
from tests.factories import Person, make_admin, make_operator
from tests.people import WHO, everybody, refused
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
FIELDS = {"id", "user", "name", "scope", "prefix", "created", "expires", "last_used", "archived"}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def ada() -> Person:
    return make_operator("ada")


def path_of(person: Person) -> str:
    return f"/v6/tokens/{person.user.tokens.get().uuid}/"


def new(person: Person, body: Any, **more: Any) -> Any:
    return person.post("/v6/tokens/", body, **more)


def events() -> list[str]:
    return list(Event.objects.order_by("id").values_list("kind", flat=True))


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_an_admin_lists_all_and_everybody_else_their_own(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get("/v6/tokens/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
        return
    found = {each["user"] for each in json_of(answer)["results"]}
    all_of_them = {person.user.username for person in people.values()}
    assert found == (all_of_them if who == "admin" else {people[who].user.username})


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("method", ["get", "delete"])
def test_a_token_is_there_for_its_user_and_for_admins_only(method: str, who: str, people: Mapping[str, Person]) -> None:
    answer = getattr(people[who], method)(path_of(people["owner"]))
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who in ("admin", "owner"):
        assert answer.status_code == (200 if method == "get" else 204)
    else:
        refused(answer, 404, "TOKEN_NOT_FOUND")
    archived = ApiToken.objects.get(user=people["owner"].user).archived_at is not None
    assert archived is (method == "delete" and who in ("admin", "owner"))


@pytest.mark.parametrize("who", WHO)
def test_everybody_makes_tokens_of_their_own_and_an_admin_of_others(who: str, people: Mapping[str, Person]) -> None:
    own, others = new(people[who], {"name": "ci"}), new(people[who], {"user": "owner"})
    if who in ("anonymous", "disabled"):
        refused(own, 401, "UNAUTHORIZED")
        refused(others, 401, "UNAUTHORIZED")
        return
    assert json_of(own)["user"] == people[who].user.username
    if who in ("admin", "owner"):
        assert json_of(others)["user"] == "owner"
    else:
        refused(others, 403, "FORBIDDEN")
        # Whether there is such a user is not told.
        refused(new(people[who], {"user": "nobody"}), 403, "FORBIDDEN")


def test_a_token_for_nobody_and_for_a_disabled_user_is_refused(people: Mapping[str, Person]) -> None:
    refused(new(people["admin"], {"user": "nobody"}), 400, "USER_NOT_FOUND", "user")
    refused(new(people["admin"], {"user": "disabled"}), 409, "USER_STATE")


# --- Making --------------------------------------------------------------------------------------


def test_a_token_is_made_shown_once_and_works(ada: Person) -> None:
    answer = new(ada, {"name": "ci", "expires": "2099-01-01T00:00:00+02:00"})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = json_of(answer)
    secret = made.pop("token")
    assert set(made) == FIELDS
    assert (made["user"], made["name"], made["archived"]) == ("ada", "ci", None)
    assert (made["expires"], made["prefix"]) == ("2098-12-31T22:00:00Z", secret[:8])
    assert json_of(ada.get(answer.headers["Location"])) == made
    assert json_of(Person(ada.user, secret).get("/v6/users/me/"))["username"] == "ada"
    assert secret not in repr([*ApiToken.objects.values(), *Event.objects.values()])
    assert "token" not in json_of(ada.get("/v6/tokens/"))["results"][0]


@pytest.mark.parametrize("scope", list(TokenScope.values))
def test_a_token_reaches_as_far_as_its_scope(scope: str, ada: Person) -> None:
    made = json_of(new(ada, {"scope": scope}))
    assert made["scope"] == scope
    short = Person(ada.user, made["token"])
    assert json_of(short.get("/v6/users/me/"))["username"] == "ada"
    # Else a token could make one that reaches further than itself.
    another = new(short, {"scope": "admin"})
    if scope == "admin":
        assert another.status_code == 201
    else:
        refused(another, 403, "FORBIDDEN")
        assert json.loads(text_of(another))["detail"] == f"the scope {scope} does not reach to admin."


def test_a_token_reaches_to_all_unless_it_is_said(ada: Person) -> None:
    assert json_of(new(ada, {}))["scope"] == "admin"


def test_a_token_needs_no_body(ada: Person) -> None:
    assert json_of(new(ada, {}))["name"] == ""
    assert json_of(new(ada, {"expires": None}))["expires"] is None


def test_a_repeated_request_makes_one_token_and_shows_it_once(ada: Person) -> None:
    key = {"Idempotency-Key": "k"}
    first, second = (new(ada, {"name": "ci"}, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.headers["Location"] == second.headers["Location"]
    one, two = json_of(first), json_of(second)
    assert one["token"]
    assert {**one, "token": None} == two
    assert ada.user.tokens.count() == 2
    refused(new(ada, {"name": "other"}, headers=key), 422, "IDEMPOTENCY_KEY_REUSED")
    refused(new(ada, {}, headers={"Idempotency-Key": "x" * 256}), 400, "INVALID_REQUEST", "Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"name": "x" * 129}, "name"), ({"name": None}, "name"), ({"name": "a\0"}, "name"),
     ({"expires": "soon"}, "expires"),
     ({"expires": "2001-01-01T00:00:00Z"}, "expires"), ({"user": 7.5, "expires": 1}, "user"),
     ({"user": ""}, "user"), ({"scope": "root"}, "scope"), ({"scope": None}, "scope"),
     ({"nam": "ci"}, "nam"), ([], ""), (b"null", "")],
)  # fmt: skip
def test_what_makes_no_token_is_400_and_named(body: Any, field: str, ada: Person) -> None:
    refused(new(ada, body), 400, "INVALID_REQUEST", field)
    assert ada.user.tokens.count() == 1


# --- Archiving -----------------------------------------------------------------------------------


def test_an_archived_token_is_refused_at_once_and_stays_to_be_seen(ada: Person) -> None:
    secret = json_of(new(ada, {"name": "ci"}))["token"]
    path = f"/v6/tokens/{ada.user.tokens.get(name='ci').uuid}/"
    assert ada.delete(path).status_code == 204
    refused(Person(ada.user, secret).get("/v6/users/me/"), 401, "UNAUTHORIZED")
    when = json_of(ada.get(path))["archived"]
    assert when is not None
    before = events()
    assert ada.delete(path).status_code == 204
    assert json_of(ada.get(path))["archived"] == when
    assert (events(), before[-1]) == (before, "token.revoked")


@pytest.mark.parametrize("reference", ["0f0e0d0c-0b0a-4908-8706-050403020100", "1", "nothing", "%00"])
def test_what_is_no_token_is_404(reference: str, ada: Person) -> None:
    refused(ada.get(f"/v6/tokens/{reference}/"), 404)
    refused(ada.delete(f"/v6/tokens/{reference}/"), 404)


def test_a_uuid_may_be_written_in_any_way(ada: Person) -> None:
    token = ada.user.tokens.get()
    for text in (token.uuid, token.uuid.hex, str(token.uuid).upper()):
        assert json_of(ada.get(f"/v6/tokens/{text}"))["prefix"] == token.prefix


@pytest.mark.parametrize("method", ["put", "patch", "post"])
def test_there_is_no_other_method(method: str, ada: Person) -> None:
    refused(getattr(ada.client, method)(path_of(ada)), 405, "METHOD_NOT_ALLOWED")


# --- Last use ------------------------------------------------------------------------------------


def test_a_use_is_noted_at_most_once_a_minute(ada: Person) -> None:
    tokens = ApiToken.objects.filter(user=ada.user)
    tokens.update(last_used_at=None)
    forget_all()
    with counted() as first:
        ada.get("/v6/users/me/")
    noted = tokens.get().last_used_at
    assert noted is not None
    with counted() as second:
        ada.get("/v6/users/me/")
    assert len(second) == len(first) - 1
    # Another process does not know of it, and asks.
    forget_all()
    ada.get("/v6/users/me/")
    assert tokens.get().last_used_at == noted
    earlier = timezone.now() - timedelta(seconds=61)
    tokens.update(last_used_at=earlier)
    forget_all()
    ada.get("/list")
    later = tokens.get().last_used_at
    assert later is not None
    assert later > earlier


def test_who_is_refused_leaves_no_trace(ada: Person) -> None:
    ApiToken.objects.update(last_used_at=None)
    services.disable_user(username="ada", actor=None)
    forget_all()
    refused(ada.get("/v6/users/me/"), 401)
    assert ApiToken.objects.get().last_used_at is None


def test_a_use_that_cannot_be_noted_is_no_reason_to_refuse(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> int:
        raise DatabaseError("busy")

    forget_all()
    monkeypatch.setattr(QuerySet, "update", fail)
    assert ada.get("/v6/users/me/").status_code == 200


# --- Lists ---------------------------------------------------------------------------------------


def test_filters_and_orders() -> None:
    admin, ada = make_admin("root"), make_operator("ada")
    for name in ("one", "two"):
        new(ada, {"name": name})
    ApiToken.objects.filter(name="one").update(created_at=timezone.now() - timedelta(days=2))
    admin.delete(f"/v6/tokens/{ApiToken.objects.get(name='two').uuid}/")

    def found(query: str) -> list[str]:
        return sorted(each["name"] for each in json_of(admin.get(f"/v6/tokens/?{query}"))["results"])

    assert found("user=ada") == ["", "one", "two"]
    assert found("user=ada&name=one&name=two") == ["one", "two"]
    assert found("archived=true") == ["two"]
    assert found("user=ada&archived=F") == ["", "one"]
    assert found("created_before=P1D") == ["one"]
    assert found("user=ada&created_after=PT1H") == ["", "two"]
    rows = json_of(admin.get("/v6/tokens/?user=ada&order=-name"))["results"]
    assert [each["name"] for each in rows] == ["two", "one", ""]


@pytest.mark.parametrize(
    "query", ["archived=2", "created_after=yesterday", "created_before=2001-01-01T00:00:00", "id=1"]
)
def test_what_cannot_be_asked_for_is_400_and_named(query: str, ada: Person) -> None:
    refused(ada.get(f"/v6/tokens/?{query}"), 400, "INVALID_REQUEST", query.split("=")[0])


def test_a_list_costs_the_same_however_long(ada: Person) -> None:
    admin = make_admin("root")
    for number in range(12):
        make_operator(f"operator-{number}")
    with within_budget("GET /v6/tokens/"):
        assert json_of(admin.get("/v6/tokens/"))["count"] == 14
