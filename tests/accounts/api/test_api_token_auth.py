"""POST /api-token-auth/, and the lock-out that it shares with the admin's sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken, Role, User
from tests.answers import json_of
from tests.factories import Person
from tests.people import refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse 7"
LIMIT = 5


@pytest.fixture(autouse=True)
def ada() -> User:
    return services.create_user(username="ada", role=Role.OPERATOR, actor=None, password=PASSWORD)


def ask(password: Any = PASSWORD, username: Any = "ada", **more: Any) -> Any:
    body = {"username": username, "password": password}
    return Client().post("/api-token-auth/", body, content_type="application/json", **more)


def sign_in(password: str, username: str = "ada", **more: Any) -> Any:
    return Client().post("/admin/login/?next=/admin/", {"username": username, "password": password}, **more)


def fail(times: int, **more: Any) -> list[int]:
    return [ask("wrong", **more).status_code for _ in range(times)]


# --- A token for a password ----------------------------------------------------------------------


def test_the_right_password_is_a_new_token_each_time(ada: User) -> None:
    answer = ask()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert set(json_of(answer)) == {"token"}
    token = json_of(answer)["token"]
    assert json_of(ask())["token"] != token
    assert json_of(Person(ada, token).get("/v6/users/me/"))["username"] == "ada"
    assert {each.name for each in ada.tokens.all()} == {"api-token-auth"}
    assert User.objects.get().last_login is not None


def test_a_form_does_as_well_and_the_slash_may_be_left_out() -> None:
    assert Client().post("/api-token-auth", "username=ada&password=correct+horse+7",
                         content_type="application/x-www-form-urlencoded").status_code == 200  # fmt: skip


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong"), ("ada", PASSWORD.upper()), ("ADA", PASSWORD), ("nobody", PASSWORD), ("ada ", PASSWORD)],
)
def test_what_is_wrong_is_not_told_apart(username: str, password: str) -> None:
    said = refused(ask(password, username), 400, "WRONG_CREDENTIALS", "password")
    assert said == refused(ask("wrong", "nobody else"), 400)
    assert not ApiToken.objects.exists()


def test_a_disabled_user_and_one_without_a_password_get_none(ada: User) -> None:
    services.disable_user(username="ada", actor=None)
    refused(ask(), 400, "WRONG_CREDENTIALS", "password")
    services.create_user(username="eve", role=Role.MONITOR, actor=None)
    refused(ask("!", "eve"), 400, "WRONG_CREDENTIALS", "password")


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [(None, "x", "username"), ("", "x", "username"), ("ada", "", "password"), ("ada", None, "password"),
     ("a\0b", "x", "username"), ("ada", "a\0b", "password"), ("\ud800", "x", "username"), ("x" * 151, "x", "username"),
     ("ada", "x" * 129, "password"), ([], {}, "password")],
)  # fmt: skip
def test_what_is_no_name_or_password_is_400_and_named(username: Any, password: Any, field: str) -> None:
    refused(ask(password, username), 400, "INVALID_REQUEST", field)
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000])
def test_a_body_that_is_no_object_is_400(body: bytes) -> None:
    refused(Client().post("/api-token-auth/", body, content_type="application/json"), 400, "INVALID_REQUEST")


def test_a_body_that_is_too_large_is_413_and_another_kind_of_body_415() -> None:
    large = Client().post("/api-token-auth/", b" " * (16 * 2**20 + 1), content_type="application/json")
    refused(large, 413, "TOO_LARGE")
    refused(Client().post("/api-token-auth/", b"x", content_type="text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_neither_a_session_nor_a_bad_token_is_asked_about() -> None:
    body = {"username": "ada", "password": PASSWORD}
    browser = Client(enforce_csrf_checks=True, headers={"Authorization": "Bearer nonsense"})
    browser.force_login(User.objects.get())
    assert browser.post("/api-token-auth/", body, content_type="application/json").status_code == 200
    refused(browser.get("/api-token-auth/"), 405, "METHOD_NOT_ALLOWED")


# --- Locked out ----------------------------------------------------------------------------------


def test_too_many_failures_lock_the_name_out_for_their_address(ada: User) -> None:
    assert fail(LIMIT) == [400] * (LIMIT - 1) + [429]
    answer = ask()
    said = refused(answer, 429, "TOO_MANY_ATTEMPTS")
    assert "Too many" in said["detail"]
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert not ada.tokens.exists()
    # Others, and the same from elsewhere, are not kept out.
    services.create_user(username="eve", role=Role.MONITOR, actor=None, password=PASSWORD)
    assert ask(username="eve").status_code == 200
    assert ask(REMOTE_ADDR="192.0.2.7").status_code == 200


def test_another_browser_is_the_same_caller() -> None:
    for number in range(LIMIT):
        ask("wrong", headers={"User-Agent": f"browser {number}"})
    assert ask().status_code == 429


def test_a_success_forgets_the_failures_before_it() -> None:
    assert fail(LIMIT - 1) == [400] * (LIMIT - 1)
    assert ask().status_code == 200
    assert not AccessAttempt.objects.exists()
    assert fail(LIMIT - 1) == [400] * (LIMIT - 1)


def test_it_cools_off_and_trying_meanwhile_does_not_prolong_it() -> None:
    fail(LIMIT)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14, seconds=30))
    answer = ask("wrong")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    assert ask().status_code == 200


def test_the_admins_sign_in_counts_with_it() -> None:
    assert [sign_in("wrong").status_code for _ in range(LIMIT - 1)] == [200] * (LIMIT - 1)
    assert ask("wrong").status_code == 429
    answer = sign_in(PASSWORD)
    assert (answer.status_code, answer.headers["Content-Type"]) == (429, "text/plain; charset=utf-8")
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    AccessAttempt.objects.all().delete()
    assert sign_in(PASSWORD).headers["Location"] == "/admin/"


def test_no_password_is_kept_of_what_failed() -> None:
    ask("hunter2")
    sign_in("hunter2")
    Client().post("/api-token-auth/?password=hunter2", "username=ada&password=hunter2",
                  content_type="application/x-www-form-urlencoded")  # fmt: skip
    assert AccessAttempt.objects.exists()
    assert "hunter2" not in repr(list(AccessAttempt.objects.values()))


@pytest.mark.parametrize("address", ["", "nonsense", "unix:"])
def test_callers_without_an_address_are_one(address: str) -> None:
    fail(LIMIT, REMOTE_ADDR=address)
    assert ask(REMOTE_ADDR=address).status_code == 429
    assert ask().status_code == 200


def test_behind_a_proxy_the_address_that_it_added_counts(settings: Any) -> None:
    settings.BEHIND_TLS_PROXY = True
    for number in range(LIMIT):
        ask("wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 192.0.2.1")
    assert ask(HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 429
    assert ask(HTTP_X_FORWARDED_FOR="192.0.2.1, 192.0.2.2").status_code == 200
    settings.BEHIND_TLS_PROXY = False
    assert ask(HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 200


def test_a_name_that_nobody_has_is_locked_out_alike() -> None:
    assert fail(LIMIT, username="nobody") == [400] * (LIMIT - 1) + [429]


def test_django_alone_is_kept_out_too() -> None:
    fail(LIMIT)
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "127.0.0.1"
    assert authenticate(request=request, username="ada", password=PASSWORD) is None


def test_what_it_costs() -> None:
    with within_budget("POST /api-token-auth/"):
        assert ask().status_code == 200
