"""/v6/users/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.db import connection
from django.test import Client

from accounts import services
from accounts.models import Customer, Event, Role, User
from tests.answers import json_of
from tests.factories import Person, make_admin, make_customer_user, make_operator
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
GOOD = "battery staple 7"
FIELDS = {
    *("id", "uuid", "username", "email", "role", "customer", "is_active", "is_verified", "instance_limit"),
    *("allowed_features", "created", "last_login"),
}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def admin() -> Person:
    return make_admin("root")


def path_of(person: Person) -> str:
    return f"/v6/users/{person.user.pk}/"


def names(answer: Any) -> set[str]:
    return {each["username"] for each in json_of(answer)["results"]}


def new(person: Person, body: Any, **more: Any) -> Any:
    return person.post("/v6/users/", body, **more)


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_an_admin_lists_all_and_everybody_else_themselves(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get("/v6/users/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    else:
        all_of_them = {person.user.username for person in people.values()}
        assert names(answer) == (all_of_them if who == "admin" else {people[who].user.username})


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("method", ["get", "patch"])
def test_a_user_is_there_for_themselves_and_for_admins_only(
    method: str, who: str, people: Mapping[str, Person]
) -> None:
    target = people["owner"]
    answer = getattr(people[who], method)(path_of(target))
    if method == "patch":
        answer = people[who].patch(path_of(target), {"email": "new@example.com"})
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who in ("admin", "owner"):
        assert json_of(answer)["username"] == "owner"
    else:
        refused(answer, 404, "USER_NOT_FOUND")
        assert User.objects.get(pk=target.user.pk).email is None


@pytest.mark.parametrize("who", WHO)
def test_everybody_has_a_me(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get("/v6/users/me/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    else:
        assert json_of(answer) == json_of(people[who].get(path_of(people[who])))


@pytest.mark.parametrize("who", WHO)
def test_only_an_admin_makes_users(who: str, people: Mapping[str, Person]) -> None:
    answer = new(people[who], {"username": "new", "role": "monitor"})
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who == "admin":
        assert answer.status_code == 201
    else:
        refused(answer, 403, "FORBIDDEN")
    assert User.objects.filter(username="new").exists() is (who == "admin")


@pytest.mark.parametrize("body", [{"role": "admin"}, {"is_active": True}, {"role": "customer", "email": "a@b.example"}])
@pytest.mark.parametrize("who", ["operator", "monitor", "owner"])
def test_nobody_but_an_admin_changes_role_and_being_enabled(who: str, body: Any, people: Mapping[str, Person]) -> None:
    before = User.objects.filter(pk=people[who].user.pk).values().get()
    refused(people[who].patch(path_of(people[who]), body), 403, "FORBIDDEN")
    refused(people[who].patch("/v6/users/me/", body), 403, "FORBIDDEN")
    assert User.objects.filter(pk=people[who].user.pk).values().get() == before


# --- What is shown -------------------------------------------------------------------------------


def test_a_user_is_found_by_id_and_by_uuid_with_all_its_fields(admin: Person) -> None:
    person = make_customer_user("ada", "acme")
    found = json_of(admin.get(path_of(person)))
    assert set(found) == FIELDS
    assert (found["username"], found["role"], found["customer"], found["email"]) == ("ada", "customer", "acme", None)
    assert found["created"].endswith("Z")
    for reference in (person.user.uuid, person.user.uuid.hex, str(person.user.uuid).upper()):
        assert json_of(admin.get(f"/v6/users/{reference}/")) == found
    assert json_of(admin.get(f"/v6/users/{person.user.pk}")) == found


@pytest.mark.parametrize(
    "reference", ["999999", "9" * 18, "9" * 30, "0f0e0d0c-0b0a-4908-8706-050403020100", "nobody", "-1", "0x1", "%00"]
)
def test_what_is_nobody_is_404(reference: str, admin: Person) -> None:
    refused(admin.get(f"/v6/users/{reference}/"), 404)


def test_no_answer_tells_a_password(admin: Person) -> None:
    answer = new(admin, {"username": "new", "role": "monitor", "password": GOOD})
    assert set(json_of(answer)) == FIELDS
    assert User.objects.get(username="new").check_password(GOOD)
    assert GOOD not in repr(list(Event.objects.values()))


# --- Making --------------------------------------------------------------------------------------


def test_a_user_is_made_and_where_it_is_is_told(admin: Person) -> None:
    body = {"username": "ada", "role": "customer", "customer": "acme", "email": "Ada@example.com"}
    answer = new(admin, body)
    assert answer.status_code == 201
    made = json_of(answer)
    assert {name: made[name] for name in body} == body
    assert json_of(admin.get(answer.headers["Location"])) == made
    assert Event.objects.get(kind="user.created", subject_id=made["id"]).actor == admin.user


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"), ({"username": "new"}, "role"), ({"username": "", "role": "monitor"}, "username"),
        ({"username": " new", "role": "monitor"}, "username"), ({"username": "a\0b", "role": "monitor"}, "username"),
        ({"username": "x" * 151, "role": "monitor"}, "username"), ({"username": 1, "role": "monitor"}, "username"),
        ({"username": "new", "role": "root"}, "role"),
        ({"username": "new", "role": None}, "role"), ({"username": "new", "role": []}, "role"),
        ({"username": "new", "role": "customer"}, "customer"),
        ({"username": "new", "role": "monitor", "email": "nobody"}, "email"),
        ({"username": "new", "role": "monitor", "email": "a" * 250 + "@example.com"}, "email"),
        ({"username": "new", "role": "monitor", "password": "short"}, "password"),
        ({"username": "new", "role": "monitor", "password": "password"}, "password"),
        ({"username": "new", "role": "monitor", "password": "12345678901"}, "password"),
        ({"username": "newcomer-1", "role": "monitor", "password": "newcomer-1"}, "password"),
        ({"username": "new", "role": "monitor", "is_superuser": True}, "is_superuser"),
    ],
)  # fmt: skip
def test_what_makes_no_user_is_400_and_named(body: Any, field: str, admin: Person) -> None:
    refused(new(admin, body), 400, "INVALID_REQUEST", field)
    assert User.objects.count() == 1


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"ada"', b"\xff", b'{"username": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_400(body: bytes, admin: Person) -> None:
    refused(new(admin, body), 400, "INVALID_REQUEST")


def test_a_body_that_is_too_large_is_413_with_and_without_a_key(admin: Person) -> None:
    body = b" " * (16 * 2**20 + 1)
    refused(new(admin, body), 413, "TOO_LARGE")
    refused(new(admin, body, headers={"Idempotency-Key": "k"}), 413, "TOO_LARGE")


def test_a_body_in_another_form_is_415(admin: Person) -> None:
    refused(admin.client.post("/v6/users/", {"username": "new", "role": "monitor"}), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_name_that_is_taken_is_409(admin: Person) -> None:
    refused(new(admin, {"username": "root", "role": "monitor"}), 409, "USER_EXISTS", None, "username: ")


def test_an_email_is_taken_whatever_its_case(admin: Person) -> None:
    new(admin, {"username": "ada", "role": "monitor", "email": "Ada@example.com"})
    refused(new(admin, {"username": "eve", "role": "monitor", "email": "aDA@Example.com"}), 400, "EMAIL_TAKEN", "email")
    assert not User.objects.filter(username="eve").exists()
    refused(admin.patch("/v6/users/me/", {"email": "ADA@example.com"}), 400, "EMAIL_TAKEN", "email")
    # Several may have none.
    for name in ("bob", "joe"):
        assert new(admin, {"username": name, "role": "monitor", "email": None}).status_code == 201


def test_a_repeated_request_makes_one_user_and_answers_alike(admin: Person) -> None:
    body, key = {"username": "ada", "role": "monitor", "password": GOOD}, {"Idempotency-Key": "k"}
    first, second = (new(admin, body, headers=key) for _ in range(2))
    assert (second.status_code, second.headers["Location"]) == (201, first.headers["Location"])
    assert json_of(first) == json_of(second)
    assert User.objects.filter(username="ada").count() == 1
    refused(new(admin, {**body, "username": "eve"}, headers=key), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_password_is_hashed_inside_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[bool] = []
    encode = hashers.MD5PasswordHasher.encode

    def noted(self: Any, password: str, salt: str) -> str:
        inside.append(connection.in_atomic_block)
        return encode(self, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", noted)
    admin = make_admin("root")
    body = {"username": "ada", "role": "monitor", "password": GOOD}
    assert new(admin, body, headers={"Idempotency-Key": "k"}).status_code == 201
    assert admin.patch("/v6/users/me/", {"password": "another 77 horse"}).status_code == 200
    sign_in = {"username": "root", "password": "another 77 horse"}
    assert Client().post("/api-token-auth/", sign_in, content_type="application/json").status_code == 200
    assert inside == [False] * 3


# --- Changing ------------------------------------------------------------------------------------


def test_an_admin_changes_everything_at_once(admin: Person) -> None:
    ada = make_operator("ada")
    body = {"role": "monitor", "is_active": False, "email": "ada@example.com", "password": GOOD}
    changed = json_of(admin.patch(path_of(ada), body))
    assert (changed["role"], changed["is_active"], changed["email"]) == ("monitor", False, "ada@example.com")
    assert User.objects.get(username="ada").check_password(GOOD)
    kinds = set(Event.objects.filter(subject_id=ada.user.pk, actor=admin.user).values_list("kind", flat=True))
    assert kinds == {"user.role-changed", "user.disabled", "user.email-changed", "user.password-changed"}
    assert json_of(admin.patch(path_of(ada), {"is_active": True, "email": None}))["email"] is None
    assert User.objects.get(username="ada").is_active


def test_what_is_so_already_is_no_change(admin: Person) -> None:
    ada = make_operator("ada")
    before = Event.objects.count()
    assert json_of(admin.patch(path_of(ada), {"role": "operator", "is_active": True}))["role"] == "operator"
    assert json_of(admin.patch(path_of(ada), {}))["username"] == "ada"
    assert Event.objects.count() == before


def test_all_or_nothing_is_changed(admin: Person) -> None:
    make_customer_user("eve")
    User.objects.filter(username="eve").update(email="eve@example.com")
    ada = make_operator("ada")
    refused(admin.patch(path_of(ada), {"role": "monitor", "email": "EVE@example.com"}), 400, "EMAIL_TAKEN", "email")
    refused(admin.patch(path_of(ada), {"role": "monitor", "password": "short"}), 400, "INVALID_REQUEST", "password")
    assert User.objects.get(username="ada").role == Role.OPERATOR


def test_a_customers_user_belongs_to_a_customer_and_an_admin_remains(admin: Person) -> None:
    ada = make_operator("ada")
    refused(admin.patch(path_of(ada), {"role": "customer"}), 400, "INVALID_REQUEST", "role")
    refused(admin.patch("/v6/users/me/", {"role": "monitor"}), 409, "USER_STATE")
    make_admin("other")
    refused(admin.patch("/v6/users/me/", {"is_active": False}), 409, "USER_STATE")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"role": "root"}, "role"), ({"is_active": "maybe"}, "is_active"), ({"email": ""}, "email"),
     ({"password": None}, "password"), ({"username": "eve"}, "username"), ({"customer": "acme"}, "customer")],
)  # fmt: skip
def test_a_change_that_is_none_is_400_and_named(body: Any, field: str, admin: Person) -> None:
    refused(admin.patch(path_of(make_operator("ada")), body), 400, "INVALID_REQUEST", field)


@pytest.mark.parametrize("make", [make_admin, make_operator, make_customer_user])
def test_the_own_password_is_changed_by_who_knows_it(make: Any) -> None:
    person = make("ada")
    assert person.patch("/v6/users/me/", {"password": GOOD}).status_code == 200  # there was none to know
    fresh = {"password": "another 77 horse"}
    refused(person.patch(path_of(person), fresh), 400, "INVALID_REQUEST", "current_password")
    wrong = {**fresh, "current_password": "wrong"}
    refused(person.patch(path_of(person), wrong), 400, "WRONG_CREDENTIALS", "current_password")
    assert User.objects.get(username="ada").check_password(GOOD)
    assert person.patch(path_of(person), {**fresh, "current_password": GOOD}).status_code == 200
    assert User.objects.get(username="ada").check_password(fresh["password"])


def test_guessing_the_present_password_is_throttled() -> None:
    person = make_operator("ada")
    services.update_user(user=person.user, actor=None, password=GOOD)
    guess = {"password": "another 77 horse", "current_password": "wrong"}
    answers = [person.patch("/v6/users/me/", guess) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 4 + [429]
    answer = person.patch("/v6/users/me/", {**guess, "current_password": GOOD})
    refused(answer, 429, "TOO_MANY_ATTEMPTS")
    assert 1 <= int(answer.headers["Retry-After"]) <= 15 * 60


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one_and_the_tokens() -> None:
    person = make_operator("ada")
    here, there = Client(), Client()
    for browser in (here, there):
        browser.force_login(person.user)
    answer = here.patch("/v6/users/me/", {"password": GOOD}, content_type="application/json")
    assert answer.status_code == 200
    assert here.get("/v6/users/me/").status_code == 200
    assert there.get("/v6/users/me/").status_code == 401
    assert person.get("/v6/users/me/").status_code == 200


@pytest.mark.parametrize("method", ["put", "delete", "post"])
def test_there_is_no_other_method(method: str, admin: Person) -> None:
    refused(getattr(admin.client, method)(path_of(admin)), 405, "METHOD_NOT_ALLOWED")


# --- Lists ---------------------------------------------------------------------------------------


def test_filters_and_orders(admin: Person) -> None:
    for name, customer in (("ada", "acme"), ("bob", "acme"), ("eve", "other")):
        make_customer_user(name, customer)
    make_operator("mary")
    services.disable_user(username="bob", actor=None)
    for query, found in {
        "username=ada&username=eve": {"ada", "eve"},
        "role=customer": {"ada", "bob", "eve"},
        "role=operator&role=ADMIN": {"mary", "root"},
        "customer=acme": {"ada", "bob"},
        "customer=acme&is_active=true": {"ada"},
        "is_active=0": {"bob"},
    }.items():
        assert names(admin.get(f"/v6/users/?{query}")) == found, query
    rows = json_of(admin.get("/v6/users/?order=-username&page_size=2"))["results"]
    assert [row["username"] for row in rows] == ["root", "mary"]


@pytest.mark.parametrize("query", ["role=root", "is_active=maybe", "usernam=ada", "order=password", "username=%00"])
def test_what_cannot_be_asked_for_is_400_and_named(query: str, admin: Person) -> None:
    refused(admin.get(f"/v6/users/?{query}"), 400, "INVALID_REQUEST", query.split("=")[0])


def test_a_list_costs_the_same_however_long(admin: Person) -> None:
    for number in range(12):
        make_customer_user(f"user-{number}", f"customer-{number}")
    with within_budget("GET /v6/users/"):
        assert json_of(admin.get("/v6/users/"))["count"] == 13
    assert Customer.objects.count() == 12


# --- In a browser --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v6/", "/v6/users/", "/v6/users/me/", "/v6/customers/", "/v6/tokens/"])
def test_pages_have_forms_for_who_is_signed_in(path: str, admin: Person) -> None:
    browser = Client(headers={"Accept": "text/html"})
    browser.force_login(admin.user)
    answer = browser.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = answer.content.decode()
    assert "root" in page
    assert "<form" in page
    assert "<select" not in page.replace('<select name="_content_type"', "").replace('data-override="content-type"', "")


def test_a_session_changes_nothing_without_its_csrf_token(admin: Person) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin.user)
    body = {"username": "new", "role": "monitor"}
    refused(browser.post("/v6/users/", body, content_type="application/json"), 403, "FORBIDDEN", None, "CSRF")
    assert new(admin, body).status_code == 201
