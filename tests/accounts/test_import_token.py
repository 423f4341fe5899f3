from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import queries, services
from accounts.models import ApiToken, Event
from tests.factories import make_customer_user

pytestmark = pytest.mark.django_db
OLD = "4f1c9a0e7d3b48f2a6c5"


def taken_over(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    call_command("import_token", "ada", *arguments, stdout=out)
    return out.getvalue()


def test_a_client_keeps_the_token_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = make_customer_user("ada", "acme").user
    said = taken_over(monkeypatch, f"{OLD}\n", "--name", "ci", "--scope", "submit", "--expires", "2099-01-31")
    assert OLD not in said
    user = queries.user_of_token(OLD)
    assert user is not None
    assert (user.pk, user.scope) == (ada.pk, "submit")
    row = ApiToken.objects.get(name="ci")
    assert (row.prefix, row.expires_at and row.expires_at.isoformat()) == (OLD[:8], "2099-01-31T00:00:00+00:00")
    told = Event.objects.get(kind="token.imported")
    assert told.after == {
        "prefix": OLD[:8],
        "name": "ci",
        "scope": "submit",
        "expires_at": "2099-01-31T00:00:00+00:00",
        "is_archived": False,
    }


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a" * 19, "a" * 513, "with a blank in it, long", "ümlaut-ümlaut-ümlaut", "two\nlines-of-a-token-there"],
)
def test_what_is_not_like_a_token_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    make_customer_user("ada", "acme")
    before = ApiToken.objects.count()
    with pytest.raises(CommandError, match="token: A token has 20 to 512"):
        taken_over(monkeypatch, text)
    assert ApiToken.objects.count() == before


def test_a_token_is_taken_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make_customer_user("ada", "acme")
    taken_over(monkeypatch, OLD)
    with pytest.raises(CommandError, match="known here already"):
        taken_over(monkeypatch, OLD)
    assert ApiToken.objects.filter(name="imported").count() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--expires", "2001-01-01"], "future"), (["--expires", "soon"], "expires"), (["--scope", "root"], "scope")],
)
def test_what_is_asked_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch, arguments: Any, words: str) -> None:
    make_customer_user("ada", "acme")
    with pytest.raises(CommandError, match=words):
        taken_over(monkeypatch, OLD, *arguments)


def test_nobody_and_a_disabled_user_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="no user called"):
        taken_over(monkeypatch, OLD)
    ada = make_customer_user("ada", "acme").user
    services.disable_user(username="ada", actor=None)
    with pytest.raises(CommandError, match=f"{ada.username} is disabled"):
        taken_over(monkeypatch, OLD)
