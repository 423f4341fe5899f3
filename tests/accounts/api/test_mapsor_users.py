"""POST /add-user, /regenerate-token, /enable-user and /disable-user."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, Event, Role, User
from tests.answers import assert_refused, json_of, text_of
from tests.factories import (
    Person,
    make_admin,
    make_customer_user,
    make_job,
    make_monitor,
    make_operator,
)
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PATHS = ("/add-user", "/regenerate-token", "/enable-user", "/disable-user")
SHOWN_ONCE = "Please keep the token safely. It cannot be retrieved again"


@pytest.fixture
def admin() -> Person:
    return make_admin("root")


@pytest.fixture
def target(admin: Person) -> Person:
    return make_operator("ada")


def everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (User, ApiToken, Event)]


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("make", [make_operator, make_monitor, make_customer_user])
def test_only_an_admin_may(path: str, make: Any, target: Person) -> None:
    person = make()
    before = everything()
    assert_refused(person.post(path, {"user": "ada"}), 403, "FORBIDDEN", "admin", person.user.role)
    assert everything() == before


@pytest.mark.parametrize("path", PATHS)
def test_somebody_without_a_token_is_401(path: str, target: Person) -> None:
    before = everything()
    assert_refused(Client().post(path, {"user": "ada"}, content_type="application/json"), 401, "UNAUTHORIZED")
    assert everything() == before


@pytest.mark.parametrize("path", PATHS)
def test_a_session_is_no_token(path: str, admin: Person, target: Person) -> None:
    browser = Client()
    browser.force_login(admin.user)
    assert_refused(browser.post(path, {"user": "ada"}, content_type="application/json"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_there_is_no_other_method(path: str, method: str, admin: Person) -> None:
    answer = getattr(admin.client, method)(path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    if method != "head":
        assert_refused(answer, 405, "METHOD_NOT_ALLOWED", method.upper())


# --- What goes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", [None, 1, 1.5, True, [], ["ada"], {}, ""])
def test_a_name_that_is_no_text_is_400_and_named(path: str, name: object, admin: Person) -> None:
    before = everything()
    assert_refused(admin.post(path, {"user": name}), 400, "INVALID_REQUEST", "user: ")
    assert_refused(admin.post(path, {}), 400, "INVALID_REQUEST", "user: ")
    assert everything() == before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"ada"', b"\xff", b'{"user": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_400(path: str, body: bytes, admin: Person) -> None:
    assert_refused(admin.post(path, body), 400, "INVALID_REQUEST", "body")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a\nb", "x" * 151, "x" * 100_000])
def test_a_name_that_nobody_can_have_is_400(path: str, name: str, admin: Person) -> None:
    code = "INVALID_REQUEST" if path == "/add-user" else "USER_NOT_FOUND"
    answer = admin.post(path, json.dumps({"user": name}).encode())
    assert_refused(answer, 400, code, "user: ")
    assert len(text_of(answer)) < 1500


@pytest.mark.parametrize("path", PATHS[1:])
def test_an_unknown_user_is_400(path: str, admin: Person) -> None:
    assert_refused(admin.post(path, {"user": "nobody"}), 400, "USER_NOT_FOUND", "user: ", "nobody")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_too_large_is_413(path: str, admin: Person) -> None:
    assert_refused(admin.post(path, b" " * (16 * 2**20 + 1)), 413, "TOO_LARGE")


# --- /add-user -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "operator", "monitor"])
def test_a_user_is_added_with_a_role_and_a_token_that_works(role: str, admin: Person) -> None:
    answer = admin.post(f"/add-user?role={role}", {"user": "new"})
    assert answer.status_code == 201
    body = json_of(answer)
    assert set(body) == {"token", "message"}
    assert body["message"] == SHOWN_ONCE
    made = User.objects.get(username="new")
    assert made.role == role
    window = {"customer": "acme", "start_time": 0, "end_time": 1}
    assert Person(made, body["token"]).get("/list", **window).status_code == 200
    events = list(Event.objects.filter(subject_id=made.pk, subject_kind="user").order_by("id"))
    assert [(event.kind, event.actor) for event in events] == [
        ("user.created", admin.user),
        ("token.issued", admin.user),
    ]
    assert body["token"] not in repr(everything())


def test_the_role_is_operator_when_none_is_given(admin: Person) -> None:
    json_of(admin.post("/add-user", {"user": "new"}))
    assert User.objects.get(username="new").role == Role.OPERATOR


@pytest.mark.parametrize("role", ["", "root", "customer", "ADMIN", "admin%00"])
def test_an_unknown_role_is_400_and_named(role: str, admin: Person) -> None:
    assert_refused(admin.post(f"/add-user?role={role}", {"user": "new"}), 400, "INVALID_REQUEST", "role: ")
    assert not User.objects.filter(username="new").exists()


def test_a_name_that_is_taken_is_409(admin: Person, target: Person) -> None:
    before = everything()
    assert_refused(admin.post("/add-user?role=monitor", {"user": "ada"}), 409, "USER_EXISTS", "user: ")
    assert everything() == before


# --- /regenerate-token ---------------------------------------------------------------------------


def test_a_new_token_works_and_the_old_one_is_401_at_once(admin: Person, target: Person) -> None:
    answer = admin.post("/regenerate-token", {"user": "ada"})
    assert answer.status_code == 201
    body = json_of(answer)
    assert body["message"] == SHOWN_ONCE
    job = make_job(target)
    assert_refused(target.get(f"/status/{job.uuid}"), 401, "UNAUTHORIZED")
    assert Person(target.user, body["token"]).get(f"/status/{job.uuid}").status_code == 200


def test_an_admin_may_replace_their_own_token(admin: Person) -> None:
    token = json_of(admin.post("/regenerate-token", {"user": "root"}))["token"]
    assert_refused(admin.post("/regenerate-token", {"user": "root"}), 401, "UNAUTHORIZED")
    json_of(Person(admin.user, token).post("/add-user", {"user": "new"}))


def test_a_token_for_a_disabled_user_is_409_and_the_old_one_is_kept(admin: Person, target: Person) -> None:
    admin.post("/disable-user", {"user": "ada"})
    assert_refused(admin.post("/regenerate-token", {"user": "ada"}), 409, "USER_STATE")
    assert ApiToken.objects.get(user=target.user).archived_at is None


# --- /enable-user, /disable-user -----------------------------------------------------------------


def requests_of(person: Person) -> list[Any]:
    """One to every operation there is."""
    job = make_job(make_admin())
    return [
        *(person.post(path, {"user": "whoever"}) for path in PATHS),
        person.post("/submit", {}),
        *(person.get(f"/{verb}/{job.uuid}") for verb in ("status", "cancel", "retry", "logs")),
        *(person.post(f"/{verb}/{job.uuid}") for verb in ("cancel", "retry")),
        person.get("/list"),
        person.client.head("/list"),
    ]


def test_a_disabled_user_is_401_at_once_everywhere_until_enabled(admin: Person, target: Person) -> None:
    answer = admin.post("/disable-user", {"user": "ada"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "text/plain; charset=utf-8")
    assert text_of(answer) == "Disabled user ada"
    assert [each.status_code for each in requests_of(target)] == [401] * 13
    answer = admin.post("/enable-user", {"user": "ada"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "text/plain; charset=utf-8")
    assert text_of(answer) == "Enabled user ada"
    assert all(each.status_code != 401 for each in requests_of(target))


def test_an_archived_token_is_401_everywhere(target: Person) -> None:
    ApiToken.objects.filter(user=target.user).update(archived_at=timezone.now())
    assert [each.status_code for each in requests_of(target)] == [401] * 13


def test_disabling_keeps_the_users_jobs(admin: Person, target: Person) -> None:
    job = make_job(target)
    admin.post("/disable-user", {"user": "ada"})
    assert json_of(admin.get(f"/status/{job.uuid}"))["status"] == "QUEUED"


@pytest.mark.parametrize("path", ["/enable-user", "/disable-user"])
def test_a_change_that_is_none_is_409(path: str, admin: Person, target: Person) -> None:
    if path == "/disable-user":
        admin.post(path, {"user": "ada"})
    assert_refused(admin.post(path, {"user": "ada"}), 409, "USER_STATE", "already")


def test_nobody_disables_themselves_and_the_last_admin_stays(admin: Person) -> None:
    assert_refused(admin.post("/disable-user", {"user": "root"}), 409, "USER_STATE")
    other = make_admin("other")
    assert_refused(admin.post("/disable-user", {"user": "root"}), 409, "USER_STATE", "yourself")
    assert other.post("/disable-user", {"user": "root"}).status_code == 201
    assert_refused(other.post("/disable-user", {"user": "other"}), 409, "USER_STATE")


# --- What it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_each_call_stays_within_its_budget(path: str, admin: Person, target: Person) -> None:
    if path == "/enable-user":
        admin.post("/disable-user", {"user": "ada"})
    body = {"user": "new" if path == "/add-user" else "ada"}
    with within_budget(f"POST {path}"):
        assert admin.post(path, body).status_code == 201
