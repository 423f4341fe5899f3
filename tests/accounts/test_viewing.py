"""Staff who see as a customer's user does."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services, viewing
from accounts.models import Event, User
from tests.answers import json_of, text_of
from tests.factories import Person, make_admin, make_customer_user, make_job, make_monitor, make_operator

pytestmark = pytest.mark.django_db


@pytest.fixture
def mary() -> Person:
    return make_customer_user("mary", "acme")


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_admin("root").user)
    return client


def page(name: str, user: User) -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])


def usernames(client: Client) -> str:
    name: str = json_of(client.get("/v6/users/me/"))["username"]
    return name


def told(kind: str) -> list[Any]:
    return list(Event.objects.filter(kind=kind).values_list("subject_id", "actor__username"))


def test_an_admin_sees_what_the_user_sees_until_they_stop(admin: Client, mary: Person) -> None:
    own, other = make_job(mary), make_job(make_customer_user("eve", "elsewhere"), customer="elsewhere")
    assert "See as this user" in text_of(admin.get(page("change", mary.user)))
    assert admin.post(page("see", mary.user)).status_code == 302
    assert usernames(admin) == "mary"
    assert [row["id"] for row in json_of(admin.get("/v6/jobs/"))["results"]] == [own.pk]
    assert admin.get(f"/v6/jobs/{other.pk}/").status_code == 404
    browsable = text_of(admin.get("/v6/jobs/", headers={"Accept": "text/html"}))
    assert "root, seeing as mary does, read only" in browsable
    assert page("change", mary.user) in browsable
    # The admin itself is theirs as before.
    assert text_of(admin.get(page("change", mary.user))).count("Stop seeing as this user") >= 1
    assert admin.post(page("stop-seeing", mary.user)).status_code == 302
    assert usernames(admin) == "root"
    assert told("user.viewed-as") == told("user.viewed-no-more") == [(mary.user.pk, "root")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("post", "/v6/jobs/{job}/cancel/", {}), ("patch", "/v6/users/me/", {"email": "a@example.com"}),
     ("post", "/v6/tokens/", {}), ("post", "/v6/jobs/", {"image": "x"}), ("post", "/v6/jobs/cancel/", {})],
)  # fmt: skip
def test_who_sees_as_somebody_changes_nothing(method: str, path: str, body: Any, admin: Client, mary: Person) -> None:
    job = make_job(mary)
    admin.post(page("see", mary.user))
    answer = getattr(admin, method)(path.format(job=job.pk), body, content_type="application/json")
    assert answer.status_code == 403
    assert "the scope read does not reach" in text_of(answer)
    job.refresh_from_db()
    assert job.status == "QUEUED"


def test_a_token_beside_the_session_stays_its_own(admin: Client, mary: Person) -> None:
    admin.post(page("see", mary.user))
    john = make_customer_user("john", "acme")
    answer = admin.get("/v6/users/me/", headers={"Authorization": f"Bearer {john.token}"})
    assert json_of(answer)["username"] == "john"


def test_it_ends_by_itself(admin: Client, mary: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.post(page("see", mary.user))
    later = timezone.now() + viewing.LASTS
    monkeypatch.setattr("accounts.viewing.timezone.now", lambda: later)
    assert usernames(admin) == "root"


def test_it_ends_when_the_user_is_disabled_or_the_admin_is_none_any_more(admin: Client, mary: Person) -> None:
    make_admin("second")
    admin.post(page("see", mary.user))
    services.disable_user(username="mary", actor=None)
    assert usernames(admin) == "root"
    services.enable_user(username="mary", actor=None)
    assert usernames(admin) == "mary"
    services.set_role(user=User.objects.get(username="root"), role="operator", actor=None)
    assert usernames(admin) == "root"


def test_staff_and_disabled_users_are_not_seen_as(admin: Client, mary: Person) -> None:
    operator = make_operator("op").user
    services.disable_user(username="mary", actor=None)
    for user in (operator, mary.user):
        assert "See as this user" not in text_of(admin.get(page("change", user)))
        assert admin.post(page("see", user)).status_code == 403
    assert usernames(admin) == "root"
    assert not told("user.viewed-as")


@pytest.mark.parametrize("make", [make_operator, make_monitor, lambda: make_customer_user("john", "acme")])
def test_nobody_below_admin_sees_as_others(make: Any, mary: Person) -> None:
    client = Client()
    client.force_login(make().user)
    assert client.post(page("see", mary.user)).status_code in (302, 403, 404)
    assert usernames(client) != "mary"
    assert not told("user.viewed-as")
