"""One-time codes of staff at the admin."""

from __future__ import annotations

import re
from base64 import b32decode
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from accounts import services
from accounts.models import Event, User
from tests.answers import text_of
from tests.browsers import ANONYMOUS, OTHERS, PASSWORD, browser, somebody
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
NOON: Final = 1_800_000_000.0
WANTED: Final = "/admin/jobs/job/"


class Clock:
    """The time by which codes are made and taken."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.now = NOON
        patched.setattr("django_otp.plugins.otp_totp.models.time.time", lambda: self.now)

    def code(self, user: User, ago: int = 0) -> str:
        """What the device of `user` shows now, or showed `ago` steps of half a minute before."""
        totp = TOTP(TOTPDevice.objects.get(user=user).bin_key)
        totp.time = self.now - 30 * ago
        return f"{totp.token():06}"

    def wrong(self, user: User) -> str:
        right = {int(self.code(user, ago)) for ago in (-1, 0, 1)}
        return f"{next(each for each in range(9) if each not in right):06}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def asked(settings: Settings) -> None:
    settings.STAFF_TOTP = True


def _signed_in(role: str) -> Client:
    """Somebody who has given their password at the admin's form, and nothing else."""
    somebody(role)
    client = Client()
    data = {"username": f"browser-{role}", "password": PASSWORD}
    answer = client.post(f"{reverse('admin:login')}?next={WANTED}", data)
    assert answer.status_code == 302
    assert answer.headers["Location"] == _page()
    return client


def _page() -> str:
    return f"{reverse('admin:totp')}?{urlencode({'next': WANTED})}"


def _give(client: Client, code: str) -> Any:
    return client.post(_page(), {"code": code})


def _enrolled(role: str, clock: Clock) -> Client:
    client = _signed_in(role)
    client.get(_page())
    assert _give(client, clock.code(somebody(role))).status_code == 302
    clock.now += 30
    return client


def _throttle_is_over() -> None:
    TOTPDevice.objects.update(throttling_failure_timestamp=timezone.now() - timedelta(days=1))


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("role", ["admin", "operator", "monitor"])
def test_staff_enrol_a_device_and_give_a_code_at_each_sign_in(role: str, clock: Clock) -> None:
    client, user = _signed_in(role), somebody(role)
    text = text_of(client.get(_page()))
    secret = re.search(r'id="secret">([A-Z2-7 ]+)<', text)
    assert secret
    assert all(len(part) == 4 for part in secret[1].split())
    assert b32decode(secret[1].replace(" ", "")) == TOTPDevice.objects.get(user=user).bin_key
    uri = re.search(r'href="(otpauth://[^"]+)"', text)
    assert uri
    assert parse_qs(urlsplit(uri[1].replace("&amp;", "&")).query)["secret"] == [secret[1].replace(" ", "")]
    assert secret[0] in text_of(client.get(_page())), "the same until it is confirmed"
    answer = _give(client, clock.code(user))
    assert (answer.status_code, answer.headers["Location"]) == (302, WANTED)
    assert client.get(WANTED).status_code == 200
    [event] = Event.objects.filter(kind="user.totp-enrolled")
    assert (event.subject_id, event.actor, event.before, event.after) == (user.pk, user, None, None)

    clock.now += 30
    again = _signed_in(role)
    text = text_of(again.get(_page()))
    assert 'id="secret"' not in text
    assert "otpauth" not in text
    assert again.get(WANTED).status_code == 302
    assert _give(again, clock.code(user)).headers["Location"] == WANTED
    assert again.get(WANTED).status_code == 200
    assert Event.objects.filter(kind="user.totp-enrolled").count() == 1


@pytest.mark.usefixtures("asked")
def test_who_has_not_shown_a_code_gets_no_page_and_is_nobody_on_the_api(clock: Clock) -> None:
    _enrolled("admin", clock)
    client = _signed_in("admin")
    for path in (
        reverse("admin:index"),
        reverse("admin:password_change"),
        reverse("admin:jsi18n"),
        *(reverse(f"admin:{name}_changelist") for name in ("accounts_user", "accounts_event", "jobs_job")),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{reverse('admin:login')}?next={path}")
    assert client.get(f"{reverse('admin:login')}?next={WANTED}").headers["Location"] == _page()
    assert client.post(reverse("admin:accounts_customer_add"), {"name": "globex"}).status_code == 302
    assert client.get("/v6/users/me/").status_code == 401
    assert client.post("/v6/tokens/", {}, content_type="application/json").status_code == 401
    names = re.findall(r"/admin/(?:accounts|jobs|jobtypes|clusters)/", text_of(client.get(_page())))
    assert not names


@pytest.mark.usefixtures("asked")
def test_a_wrong_code_is_refused_and_so_is_one_that_was_used(clock: Clock) -> None:
    client, user = _signed_in("operator"), somebody("operator")
    client.get(_page())
    assert "The code is wrong" in text_of(_give(client, clock.wrong(user)))
    assert not TOTPDevice.objects.get(user=user).confirmed
    _throttle_is_over()
    used = clock.code(user)
    assert _give(client, used).status_code == 302
    again = _signed_in("operator")
    for code in (used, clock.code(user, ago=1)):
        assert "or was used already" in text_of(_give(again, code))
        _throttle_is_over()
        assert again.get(WANTED).status_code == 302
    clock.now += 30
    assert _give(again, clock.code(user)).status_code == 302
    assert again.get(WANTED).status_code == 200


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "+12345", "１２３４５６", "12 456", "1_2345"])
def test_what_is_no_code_is_refused_before_it_is_tried(code: str, clock: Clock) -> None:
    client = _signed_in("operator")
    client.get(_page())
    answer = _give(client, code)
    assert answer.context["form"].errors["code"]
    assert TOTPDevice.objects.get().throttling_failure_count == 0


@pytest.mark.usefixtures("asked")
def test_who_is_wrong_waits_also_with_the_right_code(clock: Clock) -> None:
    _enrolled("operator", clock)
    client, user = _signed_in("operator"), somebody("operator")
    for failures in (1, 2, 3):
        _give(client, clock.wrong(user))
        assert TOTPDevice.objects.get(user=user).throttling_failure_count == failures
        assert "Too many wrong codes" in text_of(_give(client, clock.code(user)))
        assert TOTPDevice.objects.get(user=user).throttling_failure_count == failures
        _throttle_is_over()
    assert _give(client, clock.code(user)).status_code == 302
    assert TOTPDevice.objects.get(user=user).throttling_failure_count == 0


@pytest.mark.usefixtures("asked")
def test_an_admin_resets_the_device_of_somebody_else(clock: Clock) -> None:
    theirs, admin, user = _enrolled("operator", clock), _enrolled("admin", clock), somebody("operator")
    old = TOTPDevice.objects.get(user=user).key
    change, reset = (reverse(f"admin:accounts_user_{name}", args=[user.pk]) for name in ("change", "reset-totp"))
    assert "Reset one-time codes" in text_of(admin.get(change))
    assert theirs.post(reset).status_code == 403
    assert admin.post(reset).status_code == 302
    [event] = Event.objects.filter(kind="user.totp-reset")
    assert (event.subject_id, event.actor, event.before, event.after) == (user.pk, somebody("admin"), None, None)
    assert theirs.get(WANTED).status_code == 302
    assert "Reset one-time codes" not in text_of(admin.get(change))
    assert admin.post(reset).status_code == 403
    theirs.get(_page())
    assert TOTPDevice.objects.get(user=user).key != old
    assert old not in str(list(Event.objects.values_list("before", "after")))
    own = reverse("admin:accounts_user_reset-totp", args=[somebody("admin").pk])
    assert admin.post(own).status_code == 403


@pytest.mark.usefixtures("asked")
def test_a_device_of_somebody_else_proves_nothing(clock: Clock) -> None:
    _enrolled("admin", clock)
    client, user = _signed_in("operator"), somebody("operator")
    session = client.session
    session["totp_device"] = TOTPDevice.objects.get(user=somebody("admin")).pk
    session.save()
    assert client.get(WANTED).status_code == 302
    client.get(_page())
    session["totp_device"] = TOTPDevice.objects.get(user=user).pk  # not confirmed
    session.save()
    assert client.get(WANTED).status_code == 302


def test_the_only_admin_is_reset_from_the_command_line(clock: Clock, settings: Settings) -> None:
    settings.STAFF_TOTP = True
    client = _enrolled("admin", clock)
    call_command("reset_totp", "browser-admin")
    assert client.get(WANTED).status_code == 302
    assert Event.objects.get(kind="user.totp-reset").actor is None
    for name, said in (("browser-admin", "no device"), ("nobody", "no user")):
        with pytest.raises(CommandError, match=said):
            call_command("reset_totp", name)


@pytest.mark.usefixtures("asked")
def test_who_closes_their_account_leaves_no_secret(clock: Clock) -> None:
    _enrolled("operator", clock)
    services.close_account(somebody("operator"))
    assert not TOTPDevice.objects.exists()


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_is_asked_for_a_code(role: str) -> None:
    client = browser(role)
    assert client.get(_page()).headers["Location"] == reverse("admin:login")
    if role != ANONYMOUS:
        assert client.get("/v6/users/me/").status_code == 200
    assert not TOTPDevice.objects.exists()


@pytest.mark.usefixtures("asked")
def test_a_token_of_staff_works_as_before() -> None:
    token = services.issue_token(user=somebody("admin"), actor=None)
    assert Client().get("/v6/users/me/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    data = {"username": "browser-admin", "password": PASSWORD}
    assert Client().post("/api-token-auth/", data, content_type="application/json").status_code == 200


@pytest.mark.usefixtures("asked")
def test_who_cannot_give_a_code_signs_out() -> None:
    client = _signed_in("monitor")
    assert client.post(_page(), {"leave": "1"}).headers["Location"] == reverse("admin:login")
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("asked")
def test_a_page_elsewhere_is_not_gone_on_to(clock: Clock) -> None:
    client = _signed_in("monitor")
    client.get(_page())
    answer = client.post(
        f"{reverse('admin:totp')}?next=https://elsewhere.example/", {"code": clock.code(somebody("monitor"))}
    )
    assert answer.headers["Location"] == reverse("admin:index")


def test_by_default_nobody_is_asked_and_no_device_is_looked_for() -> None:
    client = browser("admin")
    with counted() as statements:
        assert client.get(WANTED).status_code == 200
        assert client.get("/v6/users/me/").status_code == 200
        assert client.get(reverse("admin:accounts_user_change", args=[somebody("operator").pk])).status_code == 200
    assert "otp_totp" not in str(statements)
    assert client.get(_page()).headers["Location"] == WANTED


@pytest.mark.usefixtures("asked")
def test_a_page_looks_for_the_device_once(clock: Clock) -> None:
    client = _enrolled("monitor", clock)
    with counted() as statements:
        assert client.get(WANTED).status_code == 200
    assert sum("otp_totp" in text for text in statements.texts) == 1


def test_devices_are_not_in_the_admin() -> None:
    assert browser("admin").get("/admin/otp_totp/totpdevice/").status_code == 404
