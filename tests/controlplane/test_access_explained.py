"""/v6/access/explain/: what it takes, and the words of its rules. Every operation is tried in tests/schema."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken
from tests.answers import json_of
from tests.factories import Person, make_admin, make_customer_user, make_job, make_monitor, make_operator
from tests.people import refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/access/explain/"


def ask(asker: Person, token: str, method: str, path: str) -> Any:
    return asker.client.get(PATH, {"token_prefix": token[:8], "method": method, "path": path})


def test_it_says_each_rule_up_to_the_one_that_refuses() -> None:
    admin, mary, john = make_admin(), make_customer_user("mary", "acme"), make_customer_user("john", "acme")
    job = make_job(mary)
    with within_budget("access: explain"):
        said = json_of(ask(admin, john.token, "post", f"/v6/jobs/{job.pk}/cancel"))
    assert {name: said[name] for name in ("user", "role", "scope", "allowed", "status")} == {
        "user": "john", "role": "customer", "scope": "admin", "allowed": False, "status": 403,
    }  # fmt: skip
    assert [(rule["rule"], rule["passed"]) for rule in said["rules"]] == [
        ("token", True), ("user", True), ("scope", True), ("access", False),
    ]  # fmt: skip
    assert said["rules"][-1]["why"] == "colleague: may not change jobs"


def test_a_row_that_is_hidden_and_one_that_is_not_there_are_told_apart_here_only() -> None:
    admin, stranger = make_admin(), make_customer_user("eve", "elsewhere")
    job = make_job(make_customer_user("mary", "acme"))
    hidden = json_of(ask(admin, stranger.token, "GET", f"/v6/jobs/{job.pk}/?page=1"))
    absent = json_of(ask(admin, stranger.token, "GET", "/v6/jobs/999999/"))
    assert hidden["status"] == absent["status"] == 404
    assert hidden["rules"][-1]["why"] == "stranger: may not read jobs; so the row does not exist to them"
    assert absent["rules"][-1]["rule"] == "row"


def test_a_token_that_is_over_says_so_first() -> None:
    admin, mary = make_admin(), make_customer_user("mary", "acme")
    ApiToken.objects.filter(user=mary.user).update(expires_at=timezone.now())
    said = json_of(ask(admin, mary.token, "GET", "/v6/jobs/"))
    assert (said["status"], [rule["rule"] for rule in said["rules"]]) == (401, ["token"])


def test_the_scope_is_named() -> None:
    admin = make_admin()
    token = services.create_token(user=admin.user, actor=None, scope="read").secret
    said = json_of(ask(admin, token, "POST", "/submit"))
    assert (said["status"], said["rules"][-1]["why"]) == (403, "the scope read does not reach to submit")


def test_nothing_is_called_and_nothing_noted() -> None:
    admin, mary = make_admin(), make_customer_user("mary", "acme")
    job = make_job(mary)
    before = ApiToken.objects.filter(user=mary.user).values_list("last_used_at", flat=True).get()
    assert json_of(ask(admin, mary.token, "GET", f"/cancel/{job.uuid}"))["allowed"]
    job.refresh_from_db()
    assert job.status == "QUEUED"
    assert ApiToken.objects.filter(user=mary.user).values_list("last_used_at", flat=True).get() == before


@pytest.mark.parametrize("make", [make_operator, make_monitor])
def test_staff_below_admin_ask_about_their_own_tokens(make: Any) -> None:
    asker, mary = make(), make_customer_user("mary", "acme")
    refused(ask(asker, mary.token, "GET", "/v6/jobs/"), 404, "TOKEN_NOT_FOUND")
    assert json_of(ask(asker, asker.token, "GET", "/v6/jobs/"))["allowed"]


def test_customers_do_not_ask() -> None:
    mary = make_customer_user("mary", "acme")
    refused(ask(mary, mary.token, "GET", "/v6/jobs/"), 403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"token_prefix": ""}, "token_prefix"), ({"token_prefix": "short"}, "token_prefix"),
        ({"token_prefix": "a" * 43}, "token_prefix"), ({"token_prefix": "aaaa\0aaa"}, "token_prefix"),
        ({"method": ""}, "method"), ({"method": "BREW"}, "method"), ({"method": "DELETE"}, "method"),
        ({"path": ""}, "path"), ({"path": "v6/jobs/"}, "path"), ({"path": "/v6/nothing/"}, "path"),
        ({"path": "/" + "a" * 3000}, "path"), ({"path": "/admin/"}, "path"), ({"path": "/livez"}, "path"),
        ({"path": "/schema/"}, "path"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_400_and_named(change: dict[str, str], field: str) -> None:
    admin = make_admin()
    asked = {"token_prefix": admin.token[:8], "method": "GET", "path": "/v6/jobs/", **change}
    refused(admin.client.get(PATH, asked), 400, "INVALID_REQUEST", field)


def test_two_tokens_that_begin_alike_are_not_guessed_between() -> None:
    admin = make_admin()
    services.create_token(user=admin.user, actor=None)
    ApiToken.objects.update(prefix="aaaaaaaa")
    refused(admin.client.get(PATH, {"token_prefix": "aaaaaaaa", "method": "GET", "path": "/v6/jobs/"}), 400)
