"""The pages that links in mails lead to."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts import services
from accounts.models import User
from accounts.services.passwords import reset_token
from accounts.services.sign_up import verification_token
from tests.answers import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(settings: Any) -> User:
    settings.SIGN_UP = "open"
    return services.sign_up(email="ada@example.com", password="correct horse battery", registration_token="")


def test_opening_the_link_changes_nothing_and_the_button_verifies(ada: User) -> None:
    client, token = Client(), verification_token(ada)
    page = client.get("/account/verify/", {"token": token})
    assert token in text_of(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert not User.objects.get().is_verified
    done = client.post("/account/verify", {"token": token})
    assert (done.status_code, User.objects.get().is_verified) == (200, True)


@pytest.mark.parametrize("token", ["", "x", "a\0b", "x" * 2000])
def test_a_link_that_is_not_valid_says_so(ada: User, token: str) -> None:
    answer = Client().post("/account/verify/", {"token": token})
    assert answer.status_code == 403
    assert "This link is not valid" in text_of(answer)


@pytest.mark.parametrize("page", ["verify", "reset"])
def test_a_page_needs_its_csrf_token_and_cannot_be_framed(ada: User, page: str) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get(f"/account/{page}/").headers["X-Frame-Options"] == "DENY"
    assert client.post(f"/account/{page}/", {"token": verification_token(ada)}).status_code == 403
    assert not User.objects.get().is_verified


def test_what_the_link_carries_is_written_as_text(ada: User) -> None:
    shown = text_of(Client().get("/account/verify/", {"token": '"><script>alert(1)</script>'}))
    assert "<script>" not in shown


def test_a_password_is_set_once_and_what_is_wrong_with_it_is_said(ada: User) -> None:
    client, wish = Client(), {"user": str(ada.uuid), "token": reset_token(ada)}
    assert wish["token"] in text_of(client.get("/account/reset/", wish))
    weak = client.post("/account/reset/", {**wish, "password": "123"})
    assert (weak.status_code, "too short" in text_of(weak)) == (400, True)
    assert client.post("/account/reset/", {**wish, "password": ""}).status_code == 400
    assert client.post("/account/reset/", {**wish, "password": "another horse 7"}).status_code == 200
    assert User.objects.get().check_password("another horse 7")
    again = client.post("/account/reset/", {**wish, "password": "yet another 9"})
    assert (again.status_code, "not valid" in text_of(again)) == (403, True)


@pytest.mark.parametrize("user", ["", "x", "01957e0c-8d10-7aa4-9f27-d0a1c58f6b11"])
def test_a_reset_of_nobody_is_not_valid(ada: User, user: str) -> None:
    wish = {"user": user, "token": reset_token(ada), "password": "another horse 7"}
    assert Client().post("/account/reset/", wish).status_code == 403
