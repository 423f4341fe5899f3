"""Tokens at DRF views. The Mapsor surface reads them itself: see tests/jobs/api/test_mapsor_jobs.py."""

from __future__ import annotations

import pytest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts import services
from tests.factories import Person, make_admin, make_operator

pytestmark = pytest.mark.django_db


class Whoami(APIView):
    """With the project's own default authenticators and permissions."""

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


def ask(authorization: str | None = None, path: str = "/") -> Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer: Response = Whoami.as_view()(APIRequestFactory().get(path, headers=headers))
    return answer


@pytest.fixture
def person() -> Person:
    return make_operator("ada")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
def test_a_token_in_the_header_is_its_user(person: Person, scheme: str) -> None:
    assert ask(f"{scheme} {person.token}").data == {"user": "ada"}


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer nonsense", "Token \x00", "Basic YTpi", "x"])
def test_without_a_token_it_is_401_and_says_which_scheme(person: Person, given: str | None) -> None:
    answer = ask(given)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_token_in_the_address_is_no_token_here(person: Person) -> None:
    assert ask(path=f"/?token={person.token}").status_code == 401


def test_a_disabled_user_and_a_revoked_token_are_401_at_once(person: Person) -> None:
    admin = make_admin().user
    services.disable_user(username="ada", actor=admin)
    assert ask(f"Bearer {person.token}").status_code == 401
    services.enable_user(username="ada", actor=admin)
    assert ask(f"Bearer {person.token}").status_code == 200
    services.revoke_tokens(user=person.user, actor=admin)
    assert ask(f"Bearer {person.token}").status_code == 401
