"""Users, tokens, customers and the event log in the admin."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.admin.events import EventAdmin
from accounts.event_kinds import SUBJECTS
from accounts.models import ApiToken, Customer, Event, Role, User
from accounts.queries import user_of_token
from tests.browsers import OTHERS, PASSWORD, browser, furnish, somebody
from tests.environment import CHECKOUT
from tests.factories import make_job, make_jobs
from tests.query_budget import within_budget
from tests.recipes import make_recipe_type

pytestmark = pytest.mark.django_db
EVENTS = "/admin/accounts/event/"


def _listed(client: Client, path: str, **parameters: Any) -> list[Any]:
    answer = client.get(path, parameters)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def _mary() -> User:
    return services.create_user(username="mary", role=Role.OPERATOR, actor=None)


# --- Users ---------------------------------------------------------------------------------------


def test_an_admin_makes_a_user_who_can_sign_in() -> None:
    data = {"username": "eve", "role": "operator", "customer_name": "", "new_password": PASSWORD}
    assert browser("admin").post(reverse("admin:accounts_user_add"), data).status_code == 302
    eve = User.objects.get(username="eve")
    assert eve.check_password(PASSWORD)
    assert [group.name for group in eve.groups.all()] == ["Operator"]
    assert Event.objects.filter(kind="user.created", subject_id=eve.pk).count() == 1


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"role": "customer"}, "customer_name"),
        ({"username": "browser-admin"}, "username"),
        ({"new_password": "1234"}, "new_password"),
        ({"role": "king"}, "role"),
        ({"email": "no address"}, "email"),
    ],
)
def test_a_user_that_is_refused_names_the_field(wish: dict[str, str], field: str) -> None:
    data = {"username": "eve", "role": "operator", **wish}
    answer = browser("admin").post(reverse("admin:accounts_user_add"), data)
    assert list(answer.context["form"].errors) == [field]
    assert not User.objects.filter(username="eve").exists()


def test_an_admin_changes_a_role_and_a_password_and_the_log_keeps_no_secret() -> None:
    mary, client = _mary(), browser("admin")
    edit = reverse("admin:accounts_user_edit", args=[mary.pk])
    assert client.get(edit).context["form"].initial == {"role": "operator", "email": None}
    client.post(edit, {"role": "monitor", "email": "mary@example.com", "new_password": PASSWORD})
    mary.refresh_from_db()
    assert (mary.role, mary.email, mary.check_password(PASSWORD)) == ("monitor", "mary@example.com", True)
    assert PASSWORD not in str(list(Event.objects.values_list("before", "after")))
    assert PASSWORD not in client.get(EVENTS).content.decode()


def test_the_last_admin_stays_one() -> None:
    admin = somebody(Role.ADMIN)
    answer = browser("admin").post(reverse("admin:accounts_user_edit", args=[admin.pk]), {"role": "monitor"})
    assert answer.context["form"].non_field_errors()
    admin.refresh_from_db()
    assert admin.role == Role.ADMIN


def test_users_are_enabled_and_disabled_from_the_list() -> None:
    mary, client = _mary(), browser("admin")
    for action, enabled in (("disable", False), ("enable", True)):
        data = {"action": action, "_selected_action": [mary.pk]}
        client.post(reverse("admin:accounts_user_changelist"), data)
        mary.refresh_from_db()
        assert mary.is_active is enabled


@pytest.mark.parametrize("role", ["operator", "monitor", *OTHERS])
def test_only_admins_manage_users(role: str) -> None:
    mary, client = _mary(), browser(role)
    for action in ("disable", "issue_token", "revoke_tokens"):
        client.post(reverse("admin:accounts_user_changelist"), {"action": action, "_selected_action": [mary.pk]})
    mary.refresh_from_db()
    assert mary.is_active
    assert not mary.tokens.exists()
    refused = 302 if role in OTHERS else 403
    hidden = 302 if role in OTHERS else 404  # mary is not among those whom they see
    customers = () if role == "operator" else ((reverse("admin:accounts_customer_add"), refused),)
    for path, status in (
        (reverse("admin:accounts_user_add"), refused),
        (reverse("admin:accounts_user_edit", args=[mary.pk]), hidden),
        (reverse("admin:accounts_apitoken_add"), refused),
        *customers,
    ):
        assert client.get(path).status_code == status
        assert client.post(path, {"username": "mary", "name": "x", "role": "admin"}).status_code == status
    mary.refresh_from_db()
    assert mary.role != "admin"


@pytest.mark.parametrize("role", ["operator", "monitor"])
def test_staff_below_admin_see_themselves_and_their_own_tokens(role: str) -> None:
    mary = _mary()
    services.issue_token(user=mary, actor=None)
    own = somebody(role)
    services.issue_token(user=own, actor=None)
    client = browser(role)
    assert _listed(client, reverse("admin:accounts_user_changelist")) == [own]
    assert {token.user for token in _listed(client, reverse("admin:accounts_apitoken_changelist"))} == {own}


def test_users_are_found_by_name_address_role_and_customer() -> None:
    mary, client, path = _mary(), browser("admin"), reverse("admin:accounts_user_changelist")
    services.update_user(user=mary, actor=None, email="mary@example.com")
    bob = services.create_user(username="bob", role=Role.CUSTOMER, customer="acme", actor=None)
    services.disable_user(username="bob", actor=None)
    for parameters, found in (
        ({"q": "mar"}, [mary]),
        ({"q": "Mary@Example.com"}, [mary]),
        ({"role": "customer"}, [bob]),
        ({"is_active": "0"}, [bob]),
        ({"customer__name": "acme"}, [bob]),
        ({"q": "nobody"}, []),
    ):
        assert _listed(client, path, **parameters) == found, parameters


# --- Tokens --------------------------------------------------------------------------------------


def _shown(answer: Any) -> str:
    return str(answer.content.decode().split("<td>mary</td><td><code>")[1].split("<")[0])


def test_a_token_is_shown_once_and_only_its_digest_is_kept() -> None:
    client, mary = browser("admin"), _mary()
    data = {"action": "issue_token", "_selected_action": [mary.pk]}
    answer = client.post(reverse("admin:accounts_user_changelist"), data)
    token = _shown(answer)
    assert user_of_token(token) == mary
    assert "no-store" in answer["Cache-Control"]
    for name in ("apitoken", "event", "user"):
        assert token not in client.get(reverse(f"admin:accounts_{name}_changelist")).content.decode()
    assert not ApiToken.objects.filter(digest=token).exists()


def test_a_token_is_added_with_an_end_and_archived_for_good() -> None:
    client, mary = browser("admin"), _mary()
    tomorrow = timezone.now() + timedelta(days=1)
    data = {"username": "mary", "name": "laptop", "scope": "submit", "expires": f"{tomorrow:%Y-%m-%d %H:%M}"}
    answer = client.post(reverse("admin:accounts_apitoken_add"), data)
    token = _shown(answer)
    assert "no-store" in answer["Cache-Control"]
    row = ApiToken.objects.get()
    assert (row.user, row.name, row.scope, row.expires_at is not None) == (mary, "laptop", "submit", True)
    remove = reverse("admin:accounts_apitoken_remove", args=[row.pk])
    assert "for good" in client.get(remove).content.decode()
    assert user_of_token(token) == mary
    client.post(remove)
    assert user_of_token(token) is None
    assert client.post(remove).status_code == 403


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"username": "nobody"}, "username"),
        ({"expires": "2020-01-01 00:00"}, "expires"),
        ({"username": ""}, "username"),
        ({"scope": "root"}, "scope"),
    ],
)
def test_a_token_that_is_refused_names_the_field(wish: dict[str, str], field: str) -> None:
    _mary()
    answer = browser("admin").post(
        reverse("admin:accounts_apitoken_add"), {"username": "mary", "scope": "admin", **wish}
    )
    assert list(answer.context["form"].errors) == [field]
    assert not ApiToken.objects.exists()


# --- Customers -----------------------------------------------------------------------------------


def test_an_admin_adds_a_customer_once() -> None:
    client, path = browser("admin"), reverse("admin:accounts_customer_add")
    client.post(path, {"name": "globex"})
    assert Customer.objects.filter(name="globex").count() == 1
    assert "name" in client.post(path, {"name": "globex"}).context["form"].errors
    found = _listed(client, reverse("admin:accounts_customer_changelist"), q="glo")
    assert [each.name for each in found] == ["globex"]


# --- The event log -------------------------------------------------------------------------------


def test_events_cannot_be_added_changed_or_deleted_even_by_admins() -> None:
    make_job()
    event = Event.objects.latest("id")
    client = browser("admin")
    assert client.get(reverse("admin:accounts_event_add")).status_code == 403
    assert client.post(reverse("admin:accounts_event_change", args=[event.pk]), {"kind": "x"}).status_code == 403
    assert client.post(reverse("admin:accounts_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 403
    assert Event.objects.filter(pk=event.pk).exists()


def test_events_are_found_by_subject_kind_and_who_did_it() -> None:
    job, mary = make_job(), _mary()
    client = browser("monitor")
    for parameters, expected in (
        ({"q": str(job.pk)}, {("job", job.pk)}),
        ({"q": f"job {job.pk}"}, {("job", job.pk)}),
        ({"q": f"user:{mary.pk}"}, {("user", mary.pk)}),
        ({"q": "job.submitted"}, {("job", job.pk)}),
        ({"q": job.owner.username}, {("job", job.pk)}),
        ({"q": "nobody"}, set()),
        ({"kind": "job.submitted"}, {("job", job.pk)}),
        ({"actor": job.owner.username}, {("job", job.pk)}),
        ({"subject_kind": "job"}, {("job", job.pk)}),
        ({"q": "recipe_type 3"}, set()),
    ):
        found = {(event.subject_kind, event.subject_id) for event in _listed(client, EVENTS, **parameters)}
        assert found >= expected, parameters
        if "user" not in str(parameters) and parameters != {"q": str(job.pk)}:
            assert found == expected, parameters


def test_an_event_shows_its_place_among_all_events() -> None:
    make_job()
    event = Event.objects.latest("id")
    Event.objects.filter(pk=event.pk).update(position=71_393)
    client = browser("monitor")
    for path in (EVENTS, reverse("admin:accounts_event_change", args=[event.pk])):
        text = client.get(path).content.decode()
        assert "71393" in text, path
        assert "position" in text.lower(), path


def test_the_log_costs_the_same_with_more_events() -> None:
    client = browser("operator")
    make_jobs(2)
    found = []
    for size in (3, 100):
        make_jobs(40)
        with mock.patch.object(EventAdmin, "list_per_page", size), within_budget("admin: events") as statements:
            _listed(client, EVENTS)
        found.append(len(statements))
        assert "OFFSET" not in str(statements)
    assert found[0] == found[1]


def test_every_kind_of_subject_can_be_searched_by_its_id() -> None:
    furnish()
    services.create_customer(name="globex", actor=None)
    assert set(Event.objects.values_list("subject_kind", flat=True)) <= set(SUBJECTS)


def test_every_kind_that_the_source_tells_of_is_known() -> None:
    told = re.compile(r"""(?:tell|tell_of|record|_entry)\(\[?\(?f?["']([a-z_]+)\.""")
    found = {
        kind
        for app in ("accounts", "jobs", "jobtypes")
        for path in (CHECKOUT / app).rglob("*.py")
        for kind in told.findall(path.read_text())
    }
    assert {"job_type", "recipe_type", "workspace", "hold", "file", "operation"} <= found
    assert found - {"token"} <= set(SUBJECTS)


def test_a_subject_whose_kind_has_two_words_is_found() -> None:
    row = make_recipe_type()
    client = browser("monitor")
    for search in (f"recipe_type {row.pk}", f"recipe_type:{row.pk}"):
        found = [(event.subject_kind, event.subject_id) for event in _listed(client, EVENTS, q=search)]
        assert found == [("recipe_type", row.pk)]
