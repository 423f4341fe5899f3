"""Invitations, wishes for higher limits, feedback, and limits of users in the admin."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.models import Event, Invitation, LimitChangeRequest, User
from accounts.services.invitations import admits, invitation_of
from tests.browsers import ANONYMOUS, OTHERS, browser, somebody
from tests.factories import make_customer_user
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
INVITATIONS = reverse("admin:accounts_invitation_changelist")
REQUESTS = reverse("admin:accounts_limitchangerequest_changelist")
FEEDBACK = reverse("admin:accounts_feedback_changelist")
MAY, MAY_NOT = ("admin", "operator"), ("monitor", *OTHERS)


def refused(role: str) -> int:
    return 302 if role in OTHERS else 403


def listed(client: Client, path: str, **parameters: Any) -> list[Any]:
    answer = client.get(path, parameters)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def a_wish(name: str = "ada") -> LimitChangeRequest:
    return services.request_limit(user=make_customer_user(name).user, desired_limit=20, reason="More <rooms>.")


# --- Invitations ---------------------------------------------------------------------------------


def wanted(**wish: Any) -> dict[str, Any]:
    expiry = f"{timezone.now() + timedelta(days=3):%Y-%m-%d %H:%M}"
    return {"name": "friends", "uses_allowed": 2, "expires_at": expiry, **wish}


@pytest.mark.parametrize("role", MAY)
def test_an_invitation_is_made_shown_once_and_revoked(role: str) -> None:
    client = browser(role)
    assert client.get(reverse("admin:accounts_invitation_add")).status_code == 200
    body = wanted(email="Ada@example.com", instance_limit=9, allowed_features=["recordings"], note="beta")
    answer = client.post(reverse("admin:accounts_invitation_add"), body)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r"<code>([A-Za-z0-9_-]{43})</code>", answer.content.decode())
    assert found
    invitation = invitation_of(found[1])
    assert invitation is not None
    assert admits(invitation, "ADA@example.com")
    assert (invitation.uses_allowed, invitation.instance_limit, invitation.allowed_features) == (2, 9, ["recordings"])
    assert invitation.created_by == somebody(role)
    page = reverse("admin:accounts_invitation_change", args=[invitation.pk])
    for path in (INVITATIONS, page, reverse("admin:accounts_event_changelist")):
        assert found[1] not in client.get(path).content.decode()
    remove = reverse("admin:accounts_invitation_remove", args=[invitation.pk])
    assert client.get(remove).status_code == 200
    assert client.post(remove).status_code == 302
    invitation.refresh_from_db()
    assert invitation.revoked_at is not None
    assert client.post(remove).status_code == 403
    history = client.get(reverse("admin:accounts_invitation_history", args=[invitation.pk])).content.decode()
    assert "invitation.revoked" in history
    assert found[1] not in history


@pytest.mark.parametrize("role", MAY_NOT)
def test_nobody_else_makes_or_revokes_one(role: str) -> None:
    expiry = timezone.now() + timedelta(days=1)
    row = services.create_invitation(name="friends", expires_at=expiry, actor=None).row
    client = browser(role)
    for path in (
        reverse("admin:accounts_invitation_add"),
        reverse("admin:accounts_invitation_remove", args=[row.pk]),
    ):
        assert client.get(path).status_code == refused(role)
        assert client.post(path, wanted()).status_code == refused(role)
    assert Invitation.objects.get().revoked_at is None
    assert client.get(INVITATIONS).status_code == (302 if role in OTHERS else 200)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": ""}, "name"), ({"uses_allowed": 0}, "uses_allowed"), ({"uses_allowed": 10**6}, "uses_allowed"),
        ({"expires_at": "2020-01-01 00:00"}, "expires_at"), ({"expires_at": ""}, "expires_at"),
        ({"email": "no address"}, "email"), ({"instance_limit": -1}, "instance_limit"),
        ({"allowed_features": ["flying"]}, "allowed_features"), ({"note": "x" * 256}, "note"),
    ],
)  # fmt: skip
def test_an_invitation_that_is_refused_names_the_field(wish: dict[str, Any], field: str) -> None:
    answer = browser("admin").post(reverse("admin:accounts_invitation_add"), wanted(**wish))
    assert list(answer.context["form"].errors) == [field]
    assert not Invitation.objects.exists()


def test_invitations_are_found_by_token_and_address() -> None:
    expiry = timezone.now() + timedelta(days=1)
    one = services.create_invitation(name="one", expires_at=expiry, actor=None, email="ada@example.com")
    two = services.create_invitation(name="two", expires_at=expiry, actor=somebody())
    client = browser("monitor")
    with within_budget("admin: invitations"):
        assert listed(client, INVITATIONS) == [two.row, one.row]
    assert listed(client, INVITATIONS, q="ADA@example.com") == [one.row]
    assert listed(client, INVITATIONS, q=two.token) == [two.row]
    assert listed(client, INVITATIONS, q="else") == []


# --- Wishes for higher limits ---------------------------------------------------------------------


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize(("verb", "status", "limit"), [("approve", "APPROVED", 20), ("reject", "REJECTED", 5)])
def test_a_wish_is_decided_on_its_page_and_from_the_list(role: str, verb: str, status: str, limit: int) -> None:
    client, on_page, in_list = browser(role), a_wish("ada"), a_wish("bob")
    page = reverse("admin:accounts_limitchangerequest_change", args=[on_page.pk])
    path = reverse(f"admin:accounts_limitchangerequest_{verb}", args=[on_page.pk])
    assert path in client.get(page).content.decode()
    assert f'formaction="{path}"' in client.get(REQUESTS).content.decode()
    assert client.get(path).status_code == 200
    assert client.post(path, {"note": "So be it."}).status_code == 302
    client.post(REQUESTS, {"action": verb, "_selected_action": [in_list.pk]})
    for request in (on_page, in_list):
        request.refresh_from_db()
        assert (request.status, request.decided_by) == (status, somebody(role))
        assert User.objects.get(pk=request.user_id).instance_limit == limit
    assert on_page.note == "So be it."
    assert path not in client.get(page).content.decode()
    assert client.post(path, {}).status_code == 403
    again = client.post(f"{REQUESTS}?status=all", {"action": "approve", "_selected_action": [in_list.pk]}, follow=True)
    assert "decided already" in again.content.decode()
    in_list.refresh_from_db()
    assert in_list.status == status


@pytest.mark.parametrize("role", MAY_NOT)
def test_nobody_else_decides(role: str) -> None:
    client, request = browser(role), a_wish()
    for verb in ("approve", "reject"):
        path = reverse(f"admin:accounts_limitchangerequest_{verb}", args=[request.pk])
        assert client.get(path).status_code == refused(role)
        assert client.post(path, {}).status_code == refused(role)
        assert "formaction" not in client.get(REQUESTS, follow=True).content.decode()
        client.post(REQUESTS, {"action": verb, "_selected_action": [request.pk]})
    request.refresh_from_db()
    assert request.status == "PENDING"


def test_the_list_begins_with_what_waits() -> None:
    decided, waiting = a_wish("ada"), a_wish("bob")
    services.approve_limit(request=decided, actor=somebody())
    client = browser("monitor")
    with within_budget("admin: limit requests"):
        assert listed(client, REQUESTS) == [waiting]
    assert listed(client, REQUESTS, status="APPROVED") == [decided]
    assert listed(client, REQUESTS, status="REJECTED") == []
    assert listed(client, REQUESTS, status="all") == [waiting, decided]
    assert listed(client, REQUESTS, status="all", user__username="ada") == [decided]
    assert "More &lt;rooms&gt;." in client.get(REQUESTS).content.decode()


# --- Feedback ------------------------------------------------------------------------------------


def test_feedback_is_read_by_staff_and_changed_by_nobody() -> None:
    ada = make_customer_user("ada").user
    good = services.give_feedback(user=ada, feedback_type="good", message="It <b>flies</b>.")
    bug = services.give_feedback(user=ada, feedback_type="bug", message="It hums.")
    for role in ("admin", "operator", "monitor"):
        client = browser(role)
        with within_budget("admin: feedback"):
            assert listed(client, FEEDBACK) == [bug, good]
        assert listed(client, FEEDBACK, feedback_type="good") == [good]
        assert "It &lt;b&gt;flies&lt;/b&gt;." in client.get(FEEDBACK).content.decode()
        assert client.get(reverse("admin:accounts_feedback_add")).status_code == 403
        assert client.post(reverse("admin:accounts_feedback_delete", args=[bug.pk]), {"post": "yes"}).status_code == 403
    for role in ("customer", ANONYMOUS):
        assert browser(role).get(FEEDBACK).status_code == 302


# --- Limits of users ------------------------------------------------------------------------------


def test_an_admin_sets_limit_and_features_and_the_page_shows_them() -> None:
    ada, client = make_customer_user("ada").user, browser("admin")
    path = reverse("admin:accounts_user_limits", args=[ada.pk])
    assert client.get(path).context["form"].initial == {"instance_limit": 5, "allowed_features": []}
    assert client.post(path, {"instance_limit": 9, "allowed_features": ["recordings"]}).status_code == 302
    ada.refresh_from_db()
    assert (ada.instance_limit, ada.allowed_features) == (9, ["recordings"])
    kinds = set(Event.objects.filter(subject_kind="user", subject_id=ada.pk).values_list("kind", flat=True))
    assert {"user.limit-changed", "user.features-changed"} <= kinds
    page = client.get(reverse("admin:accounts_user_change", args=[ada.pk])).content.decode()
    assert path in page
    for word in ("recordings", "signs in with Google", "Has used instances", "Last feedback", "Verified"):
        assert word.lower() in page.lower(), word
    for wish in ({"instance_limit": -1}, {"instance_limit": 10**7}, {"instance_limit": 3, "allowed_features": ["x"]}):
        assert client.post(path, wish).context["form"].errors
    ada.refresh_from_db()
    assert ada.instance_limit == 9


@pytest.mark.parametrize("role", ["operator", "monitor", *OTHERS])
def test_nobody_else_sets_a_user_s_limits(role: str) -> None:
    ada, client = make_customer_user("ada").user, browser(role)
    status = 302 if role in OTHERS else 404  # ada is not among those whom they see
    path = reverse("admin:accounts_user_limits", args=[ada.pk])
    assert client.post(path, {"instance_limit": 9}).status_code == status
    if role not in OTHERS:
        own = reverse("admin:accounts_user_limits", args=[somebody(role).pk])
        assert client.post(own, {"instance_limit": 9}).status_code == 403
    assert not User.objects.filter(instance_limit=9).exists()
