"""/api/v1/auth/: signing up, in and out, passwords, and closing the account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail, signing
from django.db.models import F
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from accounts import services, tasks
from accounts.models import ApiToken, Event, Invitation, Rate, Role, User
from accounts.services.passwords import reset_token
from accounts.services.sign_up import verification_token
from tests.contracts.fishjam import AUTH, EMAIL, PASSWORD, post
from tests.factories import Person, make_admin, make_customer_user
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
OTHER: Final = "another horse 7"
BODY: Final = {"email": EMAIL, "password": PASSWORD, "registration_token": "friends"}


@pytest.fixture(autouse=True)
def _open(settings: Any) -> None:
    settings.SIGN_UP = "open"
    settings.ACCOUNT_URL = "https://console.example.com"


@pytest.fixture
def nobody() -> Client:
    return Client()


@pytest.fixture
def ada() -> User:
    """Somebody who signed up and is verified."""
    user = services.sign_up(**BODY)
    return services.verify(verification_token(user))


def credentials(password: str = PASSWORD, email: str = EMAIL) -> dict[str, str]:
    return {"email": email, "password": password}


def signed_in(password: str = PASSWORD) -> Client:
    client = Client()
    assert post(client, f"{AUTH}/sign-in", credentials(password)).status_code == 200
    return client


def said(response: Any, status: int) -> Any:
    assert response.status_code == status, response.content
    assert response.headers["Cache-Control"] == "no-store"
    return response.json()["detail"]


def in_line() -> list[dict[str, Any]]:
    return [row.task for row in OrmQ.objects.order_by("pk")]


# --- Signing up ----------------------------------------------------------------------------------


def test_who_signs_up_is_a_customer_of_their_own_and_gets_a_mail(nobody: Client) -> None:
    with within_budget("POST /api/v1/auth/sign-up"):
        answer = post(nobody, f"{AUTH}/sign-up", {**BODY, "email": "Ada@Example.COM"})
    user = User.objects.get()
    assert answer.json() == {
        "uuid": str(user.uuid), "email": EMAIL, "has_surpassed_free_tier": False, "free_tier_jellyseconds": 604_800,
        "has_used_instances": False, "last_feedback_timestamp": None, "instance_limit": 5, "allowed_features": [],
        "has_password": True,
    }  # fmt: skip
    assert (user.username, user.role, user.is_verified) == (EMAIL, Role.CUSTOMER, False)
    assert user.customer is not None
    assert user.customer.name == f"account-{user.uuid}"
    [task] = in_line()
    assert (task["func"], task["kwargs"]) == ("accounts.tasks.send_verification", {"user_id": user.pk})
    assert mail.outbox == []
    [event] = Event.objects.filter(kind="user.signed-up")
    assert event.after == {"role": "customer", "origin": "friends"}


def test_the_mail_says_where_to_confirm_in_text_and_html(nobody: Client) -> None:
    user = services.sign_up(**BODY)
    tasks.send_verification(user.pk)
    [sent] = mail.outbox
    assert (sent.to, sent.extra_headers) == ([EMAIL], {"Auto-Submitted": "auto-generated"})
    assert "https://console.example.com/account/verify/?token=" in str(sent.body)
    assert "text/html" in sent.message().as_string()
    services.verify(verification_token(user))
    tasks.send_verification(user.pk)
    assert len(mail.outbox) == 1


def test_where_sign_up_is_closed_nothing_is_told_of_who_is_here(nobody: Client, ada: User, settings: Any) -> None:
    settings.SIGN_UP = "closed"
    for email in (EMAIL, "new@example.com", "no address"):
        assert "not accepted" in said(post(nobody, f"{AUTH}/sign-up", {**BODY, "email": email}), 403)


@pytest.mark.parametrize("email", ["ADA@EXAMPLE.COM", "ａda@example.com", EMAIL])
def test_an_address_is_taken_whatever_its_case_and_form(nobody: Client, ada: User, email: str) -> None:
    said(post(nobody, f"{AUTH}/sign-up", {**BODY, "email": email}), 409)
    assert User.objects.count() == 1


def test_an_address_is_taken_by_a_user_of_that_name_and_by_one_that_staff_made(nobody: Client) -> None:
    services.create_user(username=EMAIL, role=Role.OPERATOR, actor=None)
    services.create_user(username="bob", email="Bob@example.com", role=Role.OPERATOR, actor=None)
    for email in (EMAIL, "bob@example.com"):
        said(post(nobody, f"{AUTH}/sign-up", {**BODY, "email": email}), 409)


@pytest.mark.parametrize(
    "email",
    ["ada", "ada@", "ada@example.com\nBcc: all@example.com", "ada@example.com\r\nX: y", f"{'a' * 140}@example.com"],
)
def test_what_is_no_address_is_refused_and_nothing_is_mailed(nobody: Client, email: str) -> None:
    said(post(nobody, f"{AUTH}/sign-up", {**BODY, "email": email}), 400)
    assert in_line() == []


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "password"]), ({**BODY, "password": 7}, ["body", "password"]), ([], ["body"]),
        ({**BODY, "email": "a\0b"}, ["body", "email"]), ({**BODY, "password": "x" * 129}, ["body", "password"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_422_with_its_place(nobody: Client, body: Any, loc: list[str]) -> None:
    faults = said(post(nobody, f"{AUTH}/sign-up", body), 422)
    assert faults[0]["loc"] == loc
    assert set(faults[0]) == {"type", "loc", "msg"}


@pytest.mark.parametrize(("text", "kind"), [("{", "application/json"), ("{}", "text/plain"), ("a=b", "")])
def test_unreadable_json_and_other_types_are_422(nobody: Client, text: str, kind: str) -> None:
    """So no form of another site can sign anybody in."""
    said(nobody.post(f"{AUTH}/sign-in", text, content_type=kind), 422)


def test_a_path_that_is_not_there_and_a_wrong_method_are_said_in_the_surface_s_words(nobody: Client) -> None:
    assert nobody.get("/api/v1/nothing").json() == {"detail": "Not Found"}
    answer = nobody.get(f"{AUTH}/sign-in")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert set(answer.json()) == {"detail"}


# --- Verifying -----------------------------------------------------------------------------------


def test_a_verification_is_done_twice_as_once_and_of_its_address_only(nobody: Client) -> None:
    user = services.sign_up(**BODY)
    token = verification_token(user)
    for _ in range(2):
        with within_budget("POST /api/v1/auth/verify"):
            said(post(nobody, f"{AUTH}/verify", {"verification_token": token}), 200)
    assert Event.objects.filter(kind="user.verified").count() == 1
    User.objects.update(email="other@example.com", is_verified=False)
    said(post(nobody, f"{AUTH}/verify", {"verification_token": token}), 401)


def test_an_old_verification_token_is_not_valid(nobody: Client, settings: Any) -> None:
    token = verification_token(services.sign_up(**BODY))
    settings.VERIFICATION_TIMEOUT_SECONDS = -1
    assert "not valid" in said(post(nobody, f"{AUTH}/verify", {"verification_token": token}), 401)


def test_a_mail_is_sent_again_once_a_minute(nobody: Client) -> None:
    services.sign_up(**BODY)
    with within_budget("POST /api/v1/auth/resend-verification"):
        said(post(nobody, f"{AUTH}/resend-verification", credentials()), 200)
    answer = post(nobody, f"{AUTH}/resend-verification", credentials())
    said(answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert len(in_line()) == 2


def test_a_mail_is_sent_again_five_times_a_day(nobody: Client) -> None:
    user = services.sign_up(**BODY)
    for _ in range(5):
        services.resend_verification(user)
        Rate.objects.update(began_at=F("began_at") - timedelta(seconds=61))  # as if a minute were over
    answer = post(nobody, f"{AUTH}/resend-verification", credentials())
    said(answer, 429)
    assert 23 * 3600 < int(answer.headers["Retry-After"]) <= 24 * 3600
    assert len(in_line()) == 1 + 5


@pytest.mark.parametrize("kind", ["a reset", "another's", "an API token", "changed", "of somebody disabled"])
def test_another_token_verifies_nobody(kind: str, nobody: Client) -> None:
    user = services.sign_up(**BODY)
    token = verification_token(user)
    if kind == "a reset":
        token = reset_token(user)
    elif kind == "another's":
        token = signing.dumps([str(user.uuid), "other@example.com"], salt="accounts.verification")
    elif kind == "an API token":
        token = services.issue_token(user=user, actor=user)
    elif kind == "changed":
        token = token[:-1] + ("A" if token[-1] != "A" else "B")
    else:
        services.disable_user(username=EMAIL, actor=None)
    said(post(nobody, f"{AUTH}/verify", {"verification_token": token}), 401)
    assert not User.objects.get().is_verified


def test_who_changes_their_own_address_verifies_it_anew(ada: User, nobody: Client) -> None:
    services.update_user(user=ada, actor=ada, email="new@example.com")
    said(post(nobody, f"{AUTH}/sign-in", credentials(email="new@example.com")), 403)
    assert in_line()[-1]["kwargs"] == {"user_id": ada.pk}
    services.update_user(user=ada, actor=make_admin().user, email="newer@example.com")
    assert not User.objects.get(pk=ada.pk).is_verified
    answer = post(Client(), "/api-token-auth/", {"username": EMAIL, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_VERIFIED")


# --- Sessions ------------------------------------------------------------------------------------


def test_signing_in_begins_a_session_and_signing_out_ends_it(ada: User, nobody: Client) -> None:
    with within_budget("POST /api/v1/auth/sign-in"):
        answer = post(nobody, f"{AUTH}/sign-in", credentials(email="ADA@example.com"))
    assert answer.json()["uuid"] == str(ada.uuid)
    assert nobody.cookies["sessionid"]["samesite"] == "Lax"
    with within_budget("GET /api/v1/auth/user"):
        assert nobody.get(f"{AUTH}/user").json() == answer.json()
    with within_budget("POST /api/v1/auth/sign-out"):
        said(nobody.post(f"{AUTH}/sign-out"), 200)
    assert said(nobody.get(f"{AUTH}/user"), 401) == "Unauthorized"
    said(nobody.post(f"{AUTH}/sign-out"), 200)


def test_a_wrong_password_and_an_unknown_address_are_told_alike(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def noted(self: Any, password: str, salt: str) -> Any:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", noted)
    unknown = post(Client(), f"{AUTH}/sign-in", credentials("wrong", "nobody@example.com"))
    assert hashed == ["wrong"]
    wrong = post(Client(), f"{AUTH}/sign-in", credentials("wrong"))
    assert said(unknown, 401) == said(wrong, 401) == "Wrong e-mail or password."


def test_the_password_comes_before_the_verification(nobody: Client) -> None:
    services.sign_up(**BODY)
    said(post(nobody, f"{AUTH}/sign-in", credentials("wrong")), 401)
    assert "not verified" in said(post(nobody, f"{AUTH}/sign-in", credentials()), 403)


def test_a_disabled_user_is_told_as_a_wrong_password_is(ada: User) -> None:
    client, token = signed_in(), services.issue_token(user=ada, actor=ada)
    services.disable_user(username=EMAIL, actor=None)
    said(post(Client(), f"{AUTH}/sign-in", credentials()), 401)
    assert said(client.get(f"{AUTH}/user"), 401) == "Unauthorized"
    assert said(Person(ada, token).get(f"{AUTH}/user"), 401) == "Unauthorized"


def test_who_is_enabled_again_signs_in_anew_and_keeps_the_tokens(ada: User) -> None:
    for _ in range(2):
        client, token = signed_in(), services.issue_token(user=ada, actor=ada)
        services.disable_user(username=EMAIL, actor=None)
        services.enable_user(username=EMAIL, actor=None)
        said(client.get(f"{AUTH}/user"), 401)
        assert Person(ada, token).get(f"{AUTH}/user").status_code == 200
        assert signed_in().get(f"{AUTH}/user").status_code == 200


def test_an_archived_token_is_refused_and_a_live_one_shows_its_user(ada: User) -> None:
    person = make_customer_user()
    assert person.get(f"{AUTH}/user").json()["email"] == ""
    services.revoke_tokens(user=person.user, actor=None)
    assert said(person.get(f"{AUTH}/user"), 401) == "Unauthorized"


def test_a_session_that_changes_something_needs_the_csrf_header(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    with within_budget("GET /api/v1/auth/csrf"):
        said(client.get(f"{AUTH}/csrf"), 200)
    post(client, f"{AUTH}/sign-in", credentials())
    body = {"old_password": PASSWORD, "new_password": OTHER}
    assert "CSRF" in said(post(client, f"{AUTH}/change-password", body), 403)
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value}
    said(post(client, f"{AUTH}/change-password", body, headers=headers), 200)


# --- Passwords -----------------------------------------------------------------------------------


def test_a_changed_password_ends_other_sessions_and_no_tokens(ada: User) -> None:
    here, there, token = signed_in(), signed_in(), services.issue_token(user=ada, actor=ada)
    with within_budget("POST /api/v1/auth/change-password"):
        said(post(here, f"{AUTH}/change-password", {"old_password": PASSWORD, "new_password": OTHER}), 200)
    assert here.get(f"{AUTH}/user").status_code == 200
    said(there.get(f"{AUTH}/user"), 401)
    assert Person(ada, token).get(f"{AUTH}/user").status_code == 200


@pytest.mark.parametrize("old", [None, "wrong"])
def test_the_old_password_must_be_right(ada: User, old: str | None) -> None:
    answer = post(signed_in(), f"{AUTH}/change-password", {"old_password": old, "new_password": OTHER})
    assert said(answer, 403) == "The old password is wrong."


def test_who_has_no_password_sets_one_in_a_session_and_not_by_a_token(ada: User) -> None:
    ada.set_unusable_password()
    ada.save()
    body = {"new_password": OTHER}
    by_token = Person(ada, services.issue_token(user=ada, actor=ada)).post(f"{AUTH}/change-password", body)
    assert "session" in said(by_token, 403)
    client = Client()
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"{AUTH}/user").json()["has_password"] is False
    said(post(client, f"{AUTH}/change-password", body), 200)
    assert client.get(f"{AUTH}/user").json()["has_password"] is True


def test_a_reset_is_answered_alike_for_known_and_unknown_and_mailed_to_the_known(ada: User, nobody: Client) -> None:
    known = post(nobody, f"{AUTH}/reset-password", {"email": "ADA@example.com"})
    with within_budget("POST /api/v1/auth/reset-password"):
        unknown = post(nobody, f"{AUTH}/reset-password", {"email": "who@example.com"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    waiting = [task["kwargs"] for task in in_line() if task["func"] == "accounts.tasks.send_reset"]
    assert waiting == [{"email": EMAIL}, {"email": "who@example.com"}]
    for arguments in waiting:
        tasks.send_reset(**arguments)
    [sent] = mail.outbox
    assert sent.to == [EMAIL]
    assert f"https://console.example.com/account/reset/?user={ada.uuid}&token=" in str(sent.body)


def test_a_reset_works_once_and_ends_all_sessions(ada: User, nobody: Client) -> None:
    client = signed_in()
    ada.refresh_from_db()
    path = f"{AUTH}/reset-password/{ada.uuid.hex}/{reset_token(ada)}"
    said(post(nobody, path, {"password": "123"}), 400)
    said(post(nobody, path, {"password": OTHER}), 200)
    said(post(nobody, path, {"password": OTHER}), 403)
    said(client.get(f"{AUTH}/user"), 401)
    signed_in(OTHER)


def test_an_old_reset_is_not_valid(ada: User, nobody: Client, settings: Any) -> None:
    path = f"{AUTH}/reset-password/{ada.uuid}/{reset_token(ada)}"
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "not valid" in said(post(nobody, path, {"password": OTHER}), 403)
    said(post(nobody, f"{AUTH}/reset-password/{ada.uuid}/{verification_token(ada)}", {"password": OTHER}), 403)


def test_a_reset_of_a_disabled_user_and_by_another_s_token_is_refused(ada: User, nobody: Client) -> None:
    other = services.sign_up(**{**BODY, "email": "bob@example.com"})
    said(post(nobody, f"{AUTH}/reset-password/{ada.uuid}/{reset_token(other)}", {"password": OTHER}), 403)
    services.disable_user(username=EMAIL, actor=None)
    said(post(nobody, f"{AUTH}/reset-password/{ada.uuid}/{reset_token(ada)}", {"password": OTHER}), 403)
    tasks.send_reset(EMAIL)
    assert mail.outbox == []


# --- Closing -------------------------------------------------------------------------------------


def test_a_closed_account_is_shut_and_forgotten_and_its_rows_stay(ada: User) -> None:
    client, token = signed_in(), services.issue_token(user=ada, actor=ada)
    with within_budget("DELETE /api/v1/auth/user"):
        said(client.delete(f"{AUTH}/user"), 200)
    said(client.get(f"{AUTH}/user"), 401)
    said(Person(ada, token).get(f"{AUTH}/user"), 401)
    gone = User.objects.get(pk=ada.pk)
    assert (gone.username, gone.email, gone.is_active) == (f"closed-{ada.uuid}", None, False)
    assert gone.anonymised_at is not None
    assert ApiToken.objects.get(user=ada).archived_at is not None
    assert Event.objects.filter(kind="user.closing", subject_id=ada.pk).exists()
    assert EMAIL not in repr([*Event.objects.values()])
    assert post(Client(), f"{AUTH}/sign-up", BODY).status_code == 201


def test_a_closed_account_leaves_no_address_in_the_log_and_in_invitations(ada: User) -> None:
    soon = timezone.now() + timedelta(days=1)
    for email in (EMAIL, "new@example.com", "other@example.com"):
        services.create_invitation(name="one", email=email, uses_allowed=2, expires_at=soon, actor=None)
    services.update_user(user=ada, actor=ada, email="new@example.com")
    bob = services.create_user(
        username="bob@example.com", role=Role.CUSTOMER, customer="acme", email="Bob@Example.com", actor=None
    )
    services.create_invitation(name="two", email="bob@example.com", expires_at=soon, actor=None)
    ada.refresh_from_db()
    for user in (ada, bob):
        services.close_account(user)
    left = repr([*Event.objects.values(), *Invitation.objects.values()]).lower()
    assert "other@example.com" in left
    assert "new@example.com" not in left
    assert "bob@" not in left
    # Whoever has the token of an invitation that was for one address must not be let in by another.
    assert Invitation.objects.filter(email=None, revoked_at=None).count() == 0
    assert Event.objects.get(kind="user.created", subject_id=bob.pk).after == {
        "username": f"closed-{bob.uuid}", "role": "customer",
    }  # fmt: skip


def test_a_token_closes_no_account_unless_the_setting_says_so(ada: User, settings: Any) -> None:
    person = Person(ada, services.issue_token(user=ada, actor=ada))
    assert "session" in said(person.delete(f"{AUTH}/user"), 403)
    settings.TOKENS_MAY_MANAGE_ACCOUNT = True
    said(person.delete(f"{AUTH}/user"), 200)


def test_the_last_admin_closes_no_account_and_another_does() -> None:
    admin = make_admin()
    client = Client()
    client.force_login(admin.user, backend="django.contrib.auth.backends.ModelBackend")
    said(client.delete(f"{AUTH}/user"), 403)
    make_admin()
    said(client.delete(f"{AUTH}/user"), 200)
