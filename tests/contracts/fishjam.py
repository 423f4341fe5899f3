"""Fishjam: where we differ from the contract on purpose, and how each of its statuses is provoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.conf import settings
from django.test import Client

from accounts import services
from accounts.models import Role, User
from accounts.services.passwords import reset_token
from accounts.services.sign_up import verification_token
from tests import google
from tests.contracts import fishjam_clusters, fishjam_payments, fishjam_usage

AUTH: Final = "/api/v1/auth"
TOKENS: Final = "/api/v1/tokens"
FEEDBACK: Final = "/api/v1/feedback"
LIMITS: Final = "/api/v1/limit-change-requests"
WEBHOOKS: Final = "/api/v1/webhooks"
EMAIL: Final = "ada@example.com"
PASSWORD: Final = "correct horse battery"
NOBODY: Final = "01957e0c-8d10-7aa4-9f27-d0a1c58f6b11"

SECURITY: Final = None  # as the contract says
EXTRA_IN_REFUSALS: Final[frozenset[str]] = frozenset()
EXTRA_FIELDS: Final[dict[str, frozenset[str]]] = {}
TWINS: Final[dict[str, str]] = {}
_LIMIT: Final = "decision 16: texts without a limit in the contract have ours"
_ADDRESS: Final = {
    "body.email: maxLength None is 254 here": _LIMIT,
    "body.email: minLength None is 1 here": "nothing is no e-mail address",
}
_PASSWORD: Final = {"body.password: maxLength None is 128 here": _LIMIT}
_CREDENTIAL: Final = {"body.credential: maxLength None is 4096 here": _LIMIT}
_WEBHOOK: Final = {
    "body.name: maxLength None is 255 here": _LIMIT,
    "body.name: minLength None is 1 here": "nothing is no name",
    "body.url: maxLength None is 2048 here": _LIMIT,
    "body.url: minLength None is 1 here": "nothing is no address",
    "body.authorization_header: maxLength None is 4096 here": _LIMIT,
}
_OTHER_DIFFERENCES: Final = fishjam_clusters.DIFFERENCES | fishjam_payments.DIFFERENCES | fishjam_usage.DIFFERENCES
DIFFERENCES: Final[dict[str, dict[str, str]]] = _OTHER_DIFFERENCES | {
    "fishjam_create_instance_limit_change_request": dict.fromkeys(
        ("body.desired_limit: exclusiveMinimum 0 is None here", "body.desired_limit: minimum None is 1 here"),
        "of whole numbers it is the same",
    ),
    "fishjam_sign_in": _ADDRESS | _PASSWORD,
    "fishjam_resend_verification": _ADDRESS | _PASSWORD,
    "fishjam_sign_up": _ADDRESS | _PASSWORD | {"body.registration_token: maxLength None is 255 here": _LIMIT},
    "fishjam_verify_user": {"body.verification_token: maxLength None is 1024 here": _LIMIT},
    "fishjam_reset_password": _ADDRESS,
    "fishjam_confirm_reset_password": _PASSWORD,
    "fishjam_google_login": _CREDENTIAL,
    "fishjam_google_register": _CREDENTIAL | {"body.registration_token: maxLength None is 255 here": _LIMIT},
    "fishjam_create_webhook": _WEBHOOK,
    "fishjam_update_webhook": _WEBHOOK | {"body: required True is False here": "without one nothing changes"},
    "fishjam_change_password": {
        f"body.{name}: maxLength None is 128 here": _LIMIT for name in ("old_password", "new_password")
    },
}


def post(client: Client, path: str, body: Any, **more: Any) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json", **more)


class Scene:
    """A database with somebody who signed up, in and out of a session."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(settings, "SIGN_UP", "open")
        self.user: User = services.sign_up(email=EMAIL, password=PASSWORD, registration_token="x")
        self.nobody = Client()

    def verified(self) -> Scene:
        services.verify(verification_token(self.user))
        self.user.refresh_from_db()
        return self

    @property
    def token(self) -> Client:
        secret = services.issue_token(user=self.user, actor=self.user)
        return Client(headers={"Authorization": f"Bearer {secret}"})

    @property
    def session(self) -> Client:
        client = Client()
        client.force_login(self.user)
        return client

    @property
    def forged(self) -> Client:
        """A session without the CSRF header."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.user)
        return client

    def archive(self, client: Client) -> Any:
        return client.delete(f"{TOKENS}/{self.user.tokens.get().uuid}")

    def webhook(self, client: Client, **more: Any) -> Any:
        """Make one."""
        body = {"name": "ci", "url": "https://example.com/hook", "authorization_header": "Bearer x", **more}
        return post(client, WEBHOOKS, body)

    def change_webhook(self, client: Client, **changes: Any) -> Any:
        path = f"{WEBHOOKS}/{self.webhook(self.token).json()['uuid']}"
        return client.patch(path, json.dumps(changes), content_type="application/json")

    def sign_in(self, password: str = PASSWORD, path: str = "sign-in") -> Any:
        return post(self.nobody, f"{AUTH}/{path}", {"email": EMAIL, "password": password})

    def often(self, ask: Callable[[], Any], times: int) -> Any:
        for _ in range(times):
            ask()
        return ask()

    def sign_up(self, **more: Any) -> Any:
        body = {"email": "new@example.com", "password": PASSWORD, "registration_token": "x", **more}
        return post(self.nobody, f"{AUTH}/sign-up", body)

    def closed(self) -> Scene:
        self.monkeypatch.setattr(settings, "SIGN_UP", "closed")
        return self

    def reset(self, email: str = EMAIL) -> Any:
        return post(self.nobody, f"{AUTH}/reset-password", {"email": email})

    def confirm(self, password: str = PASSWORD, user: str = "", token: str = "") -> Any:
        path = f"{AUTH}/reset-password/{user or self.user.uuid}/{token or reset_token(self.user)}"
        return post(self.nobody, path, {"password": password})

    def google(self, path: str, body: Any = None, **more: Any) -> Any:
        google.stand_in(self.monkeypatch)
        given = {"credential": google.credential(**more), "registration_token": "x"} if body is None else body
        return post(self.nobody, f"{AUTH}/google/{path}", given)

    def change(self, old: Any = PASSWORD, new: Any = "another horse 7") -> Any:
        return post(self.session, f"{AUTH}/change-password", {"old_password": old, "new_password": new})

    def feedback(self, client: Client | None = None, **more: Any) -> Any:
        return post(client or self.token, FEEDBACK, {"feedback_type": "bug", "message": "It hums.", **more})

    def ask(self, client: Client | None = None, **more: Any) -> Any:
        return post(client or self.token, LIMITS, {"desired_limit": 9, "reason": "More rooms.", **more})


Provoke = Callable[[Scene], Any]


def _last_admin(scene: Scene) -> Any:
    scene.user = services.create_user(username="root", role=Role.ADMIN, actor=None)
    return scene.session.delete(f"{AUTH}/user")


_OTHER_PROVOCATIONS: Final = fishjam_clusters.PROVOCATIONS | fishjam_payments.PROVOCATIONS | fishjam_usage.PROVOCATIONS
PROVOCATIONS: Final[dict[tuple[str, int], Provoke]] = _OTHER_PROVOCATIONS | {
    ("fishjam_sign_in", 200): lambda scene: scene.verified().sign_in(),
    ("fishjam_sign_in", 401): lambda scene: scene.sign_in("wrong"),
    ("fishjam_sign_in", 403): lambda scene: scene.sign_in(),
    ("fishjam_sign_in", 422): lambda scene: post(scene.nobody, f"{AUTH}/sign-in", {"email": 7}),
    ("fishjam_sign_in", 429): lambda scene: scene.often(lambda: scene.sign_in("wrong"), settings.AXES_FAILURE_LIMIT),
    ("fishjam_sign_out", 200): lambda scene: scene.session.post(f"{AUTH}/sign-out"),
    ("fishjam_sign_up", 201): lambda scene: scene.sign_up(),
    ("fishjam_sign_up", 400): lambda scene: scene.sign_up(email="no address"),
    ("fishjam_sign_up", 403): lambda scene: scene.closed().sign_up(),
    ("fishjam_sign_up", 409): lambda scene: scene.sign_up(email="ADA@example.com"),
    ("fishjam_sign_up", 422): lambda scene: scene.sign_up(password=None),
    ("fishjam_sign_up", 429): lambda scene: scene.closed().often(scene.sign_up, 20),
    ("fishjam_verify_user", 200): lambda scene: post(
        scene.nobody, f"{AUTH}/verify", {"verification_token": verification_token(scene.user)}
    ),
    ("fishjam_verify_user", 401): lambda scene: post(scene.nobody, f"{AUTH}/verify", {"verification_token": "x"}),
    ("fishjam_verify_user", 422): lambda scene: post(scene.nobody, f"{AUTH}/verify", {}),
    ("fishjam_resend_verification", 200): lambda scene: scene.sign_in(path="resend-verification"),
    ("fishjam_resend_verification", 401): lambda scene: scene.sign_in("wrong", "resend-verification"),
    ("fishjam_resend_verification", 409): lambda scene: scene.verified().sign_in(path="resend-verification"),
    ("fishjam_resend_verification", 422): lambda scene: post(scene.nobody, f"{AUTH}/resend-verification", []),
    ("fishjam_resend_verification", 429): lambda scene: scene.often(
        lambda: scene.sign_in(path="resend-verification"), 1
    ),
    ("fishjam_get_current_user", 200): lambda scene: scene.token.get(f"{AUTH}/user"),
    ("fishjam_get_current_user", 401): lambda scene: scene.nobody.get(f"{AUTH}/user"),
    ("fishjam_google_register", 201): lambda scene: scene.google("register", email="new@example.com"),
    ("fishjam_google_register", 403): lambda scene: scene.google("register", aud="others"),
    ("fishjam_google_register", 409): lambda scene: scene.google("register"),
    ("fishjam_google_register", 422): lambda scene: scene.google("register", {}),
    ("fishjam_google_login", 200): lambda scene: scene.verified().google("login"),
    ("fishjam_google_login", 403): lambda scene: scene.google("login"),
    ("fishjam_google_login", 404): lambda scene: scene.google("login", email="who@example.com"),
    ("fishjam_google_login", 422): lambda scene: scene.google("login", {}),
    ("fishjam_delete_account", 200): lambda scene: scene.session.delete(f"{AUTH}/user"),
    ("fishjam_delete_account", 401): lambda scene: scene.nobody.delete(f"{AUTH}/user"),
    ("fishjam_delete_account", 403): _last_admin,
    ("fishjam_get_csrf", 200): lambda scene: scene.nobody.get(f"{AUTH}/csrf"),
    ("fishjam_reset_password", 200): lambda scene: scene.reset(),
    ("fishjam_reset_password", 422): lambda scene: scene.reset("no address"),
    ("fishjam_reset_password", 429): lambda scene: scene.often(scene.reset, 5),
    ("fishjam_confirm_reset_password", 200): lambda scene: scene.confirm("another horse 7"),
    ("fishjam_confirm_reset_password", 400): lambda scene: scene.confirm("123"),
    ("fishjam_confirm_reset_password", 403): lambda scene: scene.confirm(token="x-y"),
    ("fishjam_confirm_reset_password", 404): lambda scene: scene.confirm(user=NOBODY),
    ("fishjam_confirm_reset_password", 422): lambda scene: scene.confirm(user="x"),
    ("fishjam_change_password", 200): lambda scene: scene.change(),
    ("fishjam_change_password", 400): lambda scene: scene.change(new="123"),
    ("fishjam_change_password", 401): lambda scene: post(scene.nobody, f"{AUTH}/change-password", {}),
    ("fishjam_change_password", 403): lambda scene: scene.change(old="wrong"),
    ("fishjam_change_password", 422): lambda scene: scene.change(new=7),
    ("fishjam_list_api_tokens", 200): lambda scene: scene.token.get(TOKENS),
    ("fishjam_list_api_tokens", 401): lambda scene: scene.nobody.get(TOKENS),
    ("fishjam_create_api_token", 201): lambda scene: scene.session.post(TOKENS),
    ("fishjam_create_api_token", 401): lambda scene: scene.nobody.post(TOKENS),
    ("fishjam_create_api_token", 403): lambda scene: scene.token.post(TOKENS),
    ("fishjam_send_feedback", 200): lambda scene: scene.feedback(),
    ("fishjam_send_feedback", 401): lambda scene: scene.feedback(scene.nobody),
    ("fishjam_send_feedback", 403): lambda scene: scene.feedback(scene.forged),
    ("fishjam_send_feedback", 422): lambda scene: scene.feedback(feedback_type="praise"),
    ("fishjam_send_feedback", 429): lambda scene: scene.often(scene.feedback, 10),
    ("fishjam_create_instance_limit_change_request", 201): lambda scene: scene.ask(),
    ("fishjam_create_instance_limit_change_request", 400): lambda scene: scene.ask(desired_limit=5),
    ("fishjam_create_instance_limit_change_request", 401): lambda scene: scene.ask(scene.nobody),
    ("fishjam_create_instance_limit_change_request", 403): lambda scene: scene.ask(scene.forged),
    ("fishjam_create_instance_limit_change_request", 409): lambda scene: scene.often(scene.ask, 1),
    ("fishjam_create_instance_limit_change_request", 422): lambda scene: scene.ask(reason=None),
    ("fishjam_archive_api_token", 200): lambda scene: scene.archive(scene.token),
    ("fishjam_archive_api_token", 401): lambda scene: scene.nobody.delete(f"{TOKENS}/{NOBODY}"),
    ("fishjam_archive_api_token", 403): lambda scene: scene.forged.delete(f"{TOKENS}/{NOBODY}"),
    ("fishjam_archive_api_token", 404): lambda scene: scene.session.delete(f"{TOKENS}/{NOBODY}"),
    ("fishjam_archive_api_token", 422): lambda scene: scene.session.delete(f"{TOKENS}/x"),
    ("fishjam_get_notification_schema", 200): lambda scene: scene.nobody.get("/api/v1/notifications/schema"),
    ("fishjam_list_webhooks", 200): lambda scene: scene.webhook(scene.token) and scene.token.get(WEBHOOKS),
    ("fishjam_list_webhooks", 401): lambda scene: scene.nobody.get(WEBHOOKS),
    ("fishjam_create_webhook", 201): lambda scene: scene.webhook(scene.token, authorization_header=None),
    ("fishjam_create_webhook", 400): lambda scene: scene.webhook(scene.token, url="https://127.0.0.1/"),
    ("fishjam_create_webhook", 401): lambda scene: scene.webhook(scene.nobody),
    ("fishjam_create_webhook", 403): lambda scene: scene.webhook(scene.forged),
    ("fishjam_create_webhook", 422): lambda scene: post(scene.token, WEBHOOKS, {"name": "ci"}),
    ("fishjam_update_webhook", 200): lambda scene: scene.change_webhook(scene.session, is_enabled=False),
    ("fishjam_update_webhook", 400): lambda scene: scene.change_webhook(scene.token, url="http://example.com/"),
    ("fishjam_update_webhook", 401): lambda scene: scene.change_webhook(scene.nobody),
    ("fishjam_update_webhook", 403): lambda scene: scene.change_webhook(scene.forged),
    ("fishjam_update_webhook", 404): lambda scene: scene.token.patch(f"{WEBHOOKS}/{NOBODY}"),
    ("fishjam_update_webhook", 422): lambda scene: scene.change_webhook(scene.token, is_enabled="yes"),
    ("fishjam_delete_webhook", 200): lambda scene: scene.token.delete(
        f"{WEBHOOKS}/{scene.webhook(scene.token).json()['uuid']}"
    ),
    ("fishjam_delete_webhook", 401): lambda scene: scene.nobody.delete(f"{WEBHOOKS}/{NOBODY}"),
    ("fishjam_delete_webhook", 403): lambda scene: scene.forged.delete(f"{WEBHOOKS}/{NOBODY}"),
    ("fishjam_delete_webhook", 404): lambda scene: scene.token.delete(f"{WEBHOOKS}/{NOBODY}"),
}
