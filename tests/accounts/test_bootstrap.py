from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from accounts import queries
from accounts.models import ApiToken, User
from tests.factories import make_operator

pytestmark = pytest.mark.django_db


def bootstrap(*arguments: str) -> str:
    out = io.StringIO()
    call_command("bootstrap", "--username", "root", *arguments, stdout=out)
    return out.getvalue()


def test_it_makes_an_admin_and_shows_the_token_once() -> None:
    said = bootstrap()
    user = queries.user_of_token(said.splitlines()[-1])
    assert user is not None
    assert (user.username, user.role, user.is_superuser) == ("root", "admin", True)
    assert not user.has_usable_password()


def test_quiet_prints_nothing_but_the_token() -> None:
    said = bootstrap("--quiet")
    assert said.count("\n") == 1
    assert queries.user_of_token(said.strip()) == User.objects.get()


@pytest.mark.parametrize("quiet", [True, False])
def test_a_second_time_it_changes_nothing(quiet: bool) -> None:
    token = bootstrap("--quiet").strip()
    said = bootstrap(*(["--quiet"] if quiet else []), "--password", "another password")
    assert (said == "") is quiet
    assert (User.objects.count(), ApiToken.objects.count()) == (1, 1)
    user = queries.user_of_token(token)
    assert user is not None
    assert not user.has_usable_password()


def test_with_a_password_the_admin_can_sign_in() -> None:
    bootstrap("--password", "correct horse")
    assert User.objects.get().check_password("correct horse")


def test_it_does_not_raise_somebody_to_admin() -> None:
    make_operator("root")
    with pytest.raises(CommandError, match="operator"):
        bootstrap()
    assert User.objects.get().role == "operator"
