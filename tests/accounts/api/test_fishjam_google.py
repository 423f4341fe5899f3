"""/api/v1/auth/google/: registering and signing in by an ID token of Google."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from accounts import services
from accounts.models import Event, Role, User
from tests.contracts.fishjam import AUTH, post
from tests.google import credential, stand_in
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
NOW = int(time.time())


@pytest.fixture(autouse=True)
def asked(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    settings.SIGN_UP = "open"
    return stand_in(monkeypatch)


def register(**more: Any) -> Any:
    return post(Client(), f"{AUTH}/google/register", {"credential": credential(**more), "registration_token": "x"})


def sign_in(client: Client | None = None, **more: Any) -> Any:
    return post(client or Client(), f"{AUTH}/google/login", {"credential": credential(**more)})


def customer_user(**more: Any) -> User:
    return services.create_user(
        username="ada", role=Role.CUSTOMER, customer="acme", email="Ada@example.com", actor=None, **more
    )


def test_who_registers_is_verified_and_has_no_password_and_comes_back_by_subject() -> None:
    with within_budget("POST /api/v1/auth/google/register"):
        made = register(email="Ada@Example.com")
    assert (made.status_code, made.json()["email"], made.json()["has_password"]) == (201, "ada@example.com", False)
    assert User.objects.get().is_verified
    User.objects.update(email="moved@example.com")
    client = Client()
    with within_budget("POST /api/v1/auth/google/login"):
        assert sign_in(client).status_code == 200
    assert client.get(f"{AUTH}/user").json()["email"] == "moved@example.com"
    assert register(email="second@example.com").status_code == 409  # the same person of Google


@pytest.mark.parametrize(
    "more",
    [
        {"aud": "others"}, {"iss": "https://evil.example.com"}, {"email_verified": False}, {"email_verified": "true"},
        {"iat": NOW - 7200, "exp": NOW - 3600}, {"key": "another"}, {"sub": ""}, {"sub": None}, {"email": None},
    ],
)  # fmt: skip
def test_a_credential_that_does_not_hold_lets_nobody_in(more: dict[str, Any]) -> None:
    customer_user()
    assert register(**more).status_code == 403
    assert sign_in(**more).status_code == 403
    assert User.objects.count() == 1


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "ä.ö.ü", "a" * 4096])
def test_what_is_no_token_is_refused_without_asking_google(text: str, asked: list[str]) -> None:
    assert post(Client(), f"{AUTH}/google/login", {"credential": text}).status_code == 403
    assert asked == []


def test_an_unsigned_token_is_refused() -> None:
    head, body, _ = credential().split(".")
    assert post(Client(), f"{AUTH}/google/login", {"credential": f"{head}.{body}."}).status_code == 403


def test_without_a_client_id_nobody_signs_in(settings: Any, asked: list[str]) -> None:
    settings.GOOGLE_CLIENT_ID = ""
    assert "not set up" in sign_in().json()["detail"]
    assert asked == []


@pytest.mark.parametrize("how", [{"broken": True}, {"status": 500}])
def test_keys_out_of_reach_are_503(monkeypatch: pytest.MonkeyPatch, how: Any) -> None:
    stand_in(monkeypatch, **how)
    answer = sign_in()
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_where_sign_up_is_closed_nobody_registers(settings: Any) -> None:
    settings.SIGN_UP = "closed"
    assert register().status_code == 403
    assert sign_in().status_code == 404


def test_a_verified_address_is_linked_once() -> None:
    user = customer_user()
    assert sign_in().status_code == 200
    user.refresh_from_db()
    assert user.google_subject == "1104"
    assert Event.objects.filter(kind="user.google-linked").count() == 1
    assert sign_in(sub="other").status_code == 403


def test_who_only_claims_the_address_staff_and_the_disabled_are_not_let_in() -> None:
    user = customer_user()
    User.objects.update(is_verified=False)
    assert sign_in().status_code == 403
    User.objects.update(is_verified=True)
    services.set_role(user=user, role=Role.OPERATOR, actor=None)
    assert sign_in().status_code == 403
    services.set_role(user=user, role=Role.CUSTOMER, actor=None)
    services.disable_user(username="ada", actor=None)
    assert sign_in().status_code == 403
    assert User.objects.get().google_subject is None
