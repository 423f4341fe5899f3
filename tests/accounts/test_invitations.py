"""Invitations: who may sign up by one, how often, and what they begin with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from accounts import queries, services
from accounts.errors import InvitationRevoked, SignUpRefused
from accounts.models import Customer, Event, Invitation, Role, User
from controlplane.core.errors import InvalidRequest
from tests.contracts.fishjam import AUTH, PASSWORD, post
from tests.google import credential, stand_in
from tests.threads import at_once

pytestmark = pytest.mark.django_db
WRONG: Final = "no-such-invitation"


@pytest.fixture(autouse=True)
def _invited_only(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SIGN_UP = "invite"
    settings.ACCOUNT_URL = "https://console.example.com"
    stand_in(monkeypatch)


def invite(**wishes: Any) -> services.NewInvitation:
    expiry = timezone.now() + timedelta(days=1)
    return services.create_invitation(**{"name": "friends", "expires_at": expiry, "actor": None, **wishes})


def sign_up(token: str, email: str = "ada@example.com") -> Any:
    body = {"email": email, "password": PASSWORD, "registration_token": token}
    return post(Client(), f"{AUTH}/sign-up", body)


def with_google(token: str, email: str = "ada@example.com", sub: str = "1104") -> Any:
    return post(
        Client(),
        f"{AUTH}/google/register",
        {"credential": credential(email=email, sub=sub), "registration_token": token},
    )


# --- Signing up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [sign_up, with_google])
def test_who_is_invited_signs_up_with_the_limit_and_the_features_of_the_invitation(way: Any) -> None:
    made = invite(instance_limit=50, allowed_features=["recordings"])
    answer = way(made.token)
    assert answer.status_code == 201
    assert (answer.json()["instance_limit"], answer.json()["allowed_features"]) == (50, ["recordings"])
    user = User.objects.get()
    assert (user.instance_limit, user.allowed_features) == (50, ["recordings"])
    event = Event.objects.get(kind="user.signed-up")
    assert event.after == {
        "role": Role.CUSTOMER, "origin": f"invitation {made.row.prefix}", "invitation": made.row.pk,
    }  # fmt: skip
    made.row.refresh_from_db()
    assert made.row.uses == 1
    assert made.token not in str(list(Event.objects.values_list("after", flat=True)))


def test_an_invitation_without_a_limit_leaves_the_usual_one(settings: Any) -> None:
    settings.DEFAULT_INSTANCE_LIMIT = 7
    assert sign_up(invite().token).json()["instance_limit"] == 7


def _used_up() -> str:
    made = invite()
    assert sign_up(made.token, "first@example.com").status_code == 201
    return made.token


def _revoked() -> str:
    made = invite()
    services.revoke_invitation(invitation=made.row, actor=None)
    return made.token


def _expired() -> str:
    made = invite()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return made.token


REFUSED: Final = {
    "unknown": lambda: WRONG,
    "none": lambda: "",
    "a prefix": lambda: invite().row.prefix,
    "a digest": lambda: invite().row.digest,
    "used up": _used_up,
    "revoked": _revoked,
    "expired": _expired,
    "for another address": lambda: invite(email="bob@example.com").token,
}


@pytest.mark.parametrize("way", [sign_up, with_google])
@pytest.mark.parametrize("kind", REFUSED)
def test_another_token_is_refused_and_nothing_is_told_of_who_is_here(kind: str, way: Any) -> None:
    services.create_user(
        username="ada", role=Role.CUSTOMER, customer="acme", email="ada@example.com", actor=None
    )  # her address is known
    token = REFUSED[kind]()
    users, customers = User.objects.count(), Customer.objects.count()
    for email in ("ada@example.com", "new@example.com", "no address"):
        answer = way(token, email)
        if email == "no address" and way is with_google:
            assert answer.status_code == 403
            continue
        assert (answer.status_code, answer.json()) == (403, {"detail": "The registration token is not accepted."})
    assert (User.objects.count(), Customer.objects.count()) == (users, customers)


def test_a_known_address_costs_no_use() -> None:
    made = invite()
    services.create_user(username="ada", role=Role.CUSTOMER, customer="acme", email="ADA@example.com", actor=None)
    assert sign_up(made.token).status_code == 409
    made.row.refresh_from_db()
    assert made.row.uses == 0
    assert sign_up(made.token, "new@example.com").status_code == 201


@pytest.mark.parametrize("given", ["Ada@Example.COM", "\uff41da@example.com", "ADA@EXAMPLE.com"])
@pytest.mark.parametrize("way", [sign_up, with_google])
def test_an_address_is_compared_whatever_its_case_and_its_form_of_unicode(way: Any, given: str) -> None:
    made = invite(email="aDA@example.com")
    assert made.row.email == "ada@example.com"
    assert way(made.token, given).status_code == 201
    assert User.objects.get().email == "ada@example.com"


def test_as_many_sign_up_as_it_has_uses() -> None:
    made = invite(uses_allowed=2)
    assert [sign_up(made.token, f"user{n}@example.com").status_code for n in range(3)] == [201, 201, 403]


def test_nobody_signs_up_where_it_is_closed(settings: Any) -> None:
    settings.SIGN_UP = "closed"
    assert sign_up(invite().token).status_code == 403


# --- Where everybody may --------------------------------------------------------------------------


def test_where_all_may_sign_up_an_invitation_gives_what_it_presets(settings: Any) -> None:
    settings.SIGN_UP = "open"
    made = invite(instance_limit=50)
    assert [sign_up(made.token, f"user{n}@example.com").json()["instance_limit"] for n in range(2)] == [50, 5]
    said = Event.objects.filter(kind="user.signed-up").order_by("pk").values_list("after", flat=True)
    assert [(each or {}).get("invitation") for each in said] == [made.row.pk, None]
    assert sign_up("a magazine", "third@example.com").status_code == 201
    last = Event.objects.filter(kind="user.signed-up").latest("pk").after
    assert last == {"role": Role.CUSTOMER, "origin": "a magazine"}


@pytest.mark.parametrize("kind", ["revoked", "expired", "for another address"])
def test_where_all_may_sign_up_the_token_of_an_invitation_is_in_no_log(kind: str, settings: Any) -> None:
    settings.SIGN_UP = "open"
    token = REFUSED[kind]()
    assert sign_up(token).json()["instance_limit"] == 5
    assert token not in str(list(Event.objects.values_list("after", flat=True)))


# --- Races ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("mode", ["invite", "open"])
def test_of_two_who_take_the_last_use_at_once_one_is_refused(mode: str, settings: Any) -> None:
    settings.SIGN_UP = mode
    made = invite(instance_limit=50)

    def one(number: int) -> Any:
        email = f"user{number}@example.com"
        return lambda: services.sign_up(email=email, password=PASSWORD, registration_token=made.token)

    found = at_once([one(number) for number in range(4)])
    refused = [each for each in found if isinstance(each, SignUpRefused)]
    users = [each for each in found if isinstance(each, User)]
    assert (len(refused), len(users)) == ((3, 1) if mode == "invite" else (0, 4)), found
    assert [user.instance_limit for user in users].count(50) == 1
    made.row.refresh_from_db()
    assert made.row.uses == 1


# --- Making and revoking --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": " "}, "name"), ({"name": "x" * 129}, "name"), ({"name": "a\0"}, "name"),
        ({"note": "x" * 256}, "note"), ({"uses_allowed": 0}, "uses_allowed"),
        ({"uses_allowed": 100_001}, "uses_allowed"), ({"email": "no address"}, "email"),
        ({"instance_limit": -1}, "instance_limit"), ({"instance_limit": 10**9}, "instance_limit"),
        ({"allowed_features": ["flying"]}, "allowed_features"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
    ],
)  # fmt: skip
def test_what_is_no_invitation_is_refused_by_name(wish: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        invite(**wish)
    assert refused.value.field == field
    assert not Invitation.objects.exists()


def test_only_the_digest_is_kept_and_one_is_revoked_once() -> None:
    made = invite()
    assert made.token not in str(list(Invitation.objects.values()))
    assert made.row.digest == queries.digest(made.token)
    services.revoke_invitation(invitation=made.row, actor=None)
    with pytest.raises(InvitationRevoked):
        services.revoke_invitation(invitation=made.row, actor=None)
    assert Event.objects.filter(kind="invitation.revoked").count() == 1
