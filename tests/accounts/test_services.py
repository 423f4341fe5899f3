from __future__ import annotations

import runpy
import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import check_password
from django.db import IntegrityError, connection, transaction
from django.test import override_settings

from accounts import events, queries, services
from accounts.errors import UserExists, UserNotFound, UserState
from accounts.models import ApiToken, Customer, Event, Role, User
from controlplane.core.errors import InvalidRequest
from tests.environment import CHECKOUT
from tests.factories import make_admin, make_customer_user, make_monitor, make_operator

pytestmark = pytest.mark.django_db


def kinds(user: User) -> list[str]:
    return list(
        Event.objects.filter(subject_kind="user", subject_id=user.pk).order_by("id").values_list("kind", flat=True)
    )


# --- Users ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR, Role.MONITOR])
def test_staff_are_made_with_their_role_and_group(role: str) -> None:
    user = services.create_user(username="ada", role=role, actor=None)
    assert (user.role, user.is_active, user.is_staff, user.customer) == (role, True, True, None)
    assert user.is_superuser is (role == Role.ADMIN)
    assert [group.name for group in user.groups.all()] == [role.capitalize()]
    assert not user.has_usable_password()


def test_a_customer_user_belongs_to_a_customer_made_at_first_mention() -> None:
    one = services.create_user(username="one", role=Role.CUSTOMER, actor=None, customer="acme")
    two = services.create_user(username="two", role=Role.CUSTOMER, actor=None, customer="acme")
    assert one.customer == two.customer == Customer.objects.get(name="acme")
    assert not one.is_staff


def test_a_customer_user_without_a_customer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        services.create_user(username="one", role=Role.CUSTOMER, actor=None)
    assert refused.value.field == "customer"


def test_a_password_is_stored_hashed() -> None:
    user = services.create_user(username="ada", role=Role.ADMIN, actor=None, password="correct horse")
    assert user.check_password("correct horse")
    assert "correct horse" not in user.password


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        services.create_user(username="ada", role="root", actor=None)
    assert refused.value.field == "role"
    with pytest.raises(InvalidRequest):
        services.set_role(user=make_admin().user, role="root", actor=None)


@pytest.mark.parametrize("name", ["", "x" * 151, " ada", "ada ", "a\0b", "a\nb", "\ud800", "\u200b"])
def test_a_name_that_nobody_can_read_back_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        services.create_user(username=name, role=Role.MONITOR, actor=None)
    assert refused.value.field == "user"
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["x" * 150, "Ada Lovelace", "ädä@example.org", "名前"])
def test_a_name_may_be_any_printable_text(name: str) -> None:
    assert services.create_user(username=name, role=Role.MONITOR, actor=None).username == name


def test_a_name_is_taken_once() -> None:
    make_admin("ada")
    with pytest.raises(UserExists) as refused:
        services.create_user(username="ada", role=Role.MONITOR, actor=None)
    assert refused.value.field == "user"
    assert User.objects.get().role == Role.ADMIN


def test_a_refused_user_leaves_no_customer_remembered_that_does_not_exist() -> None:
    make_admin("ada")
    with pytest.raises(UserExists):
        services.create_user(username="ada", role=Role.CUSTOMER, actor=None, customer="new")
    made = services.create_user(username="bob", role=Role.CUSTOMER, actor=None, customer="new")
    connection.check_constraints()
    assert made.customer == Customer.objects.get(name="new")


def test_one_email_belongs_to_one_user_in_any_case() -> None:
    User.objects.filter(pk=make_admin().user.pk).update(email="Ada@example.org")
    other = make_admin().user
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=other.pk).update(email="aDA@EXAMPLE.org")


def test_a_role_that_is_none_is_refused_by_the_database() -> None:
    user = make_admin().user
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(role="root")


def test_a_new_role_brings_its_group_and_the_event_says_both() -> None:
    admin, other = make_admin().user, make_admin().user
    changed = services.set_role(user=other, role=Role.MONITOR, actor=admin)
    assert (changed.role, changed.is_superuser) == (Role.MONITOR, False)
    assert [group.name for group in changed.groups.all()] == ["Monitor"]
    event = Event.objects.get(kind="user.role-changed")
    assert (event.actor, event.before, event.after) == (admin, {"role": "admin"}, {"role": "monitor"})


# --- The last admin ------------------------------------------------------------------------------


def test_the_last_enabled_admin_keeps_role_and_access() -> None:
    admin, other = make_admin().user, make_admin("other").user
    services.disable_user(username="other", actor=admin)
    with pytest.raises(UserState):
        services.set_role(user=admin, role=Role.OPERATOR, actor=None)
    with pytest.raises(UserState):
        services.disable_user(username=admin.username, actor=None)
    admin.refresh_from_db()
    assert (admin.role, admin.is_active) == (Role.ADMIN, True)
    services.set_role(user=other, role=Role.MONITOR, actor=admin)


def test_the_last_admin_may_be_made_admin_again() -> None:
    admin = make_admin().user
    assert services.set_role(user=admin, role=Role.ADMIN, actor=None).role == Role.ADMIN


def test_nobody_disables_themselves() -> None:
    one = make_admin().user
    make_admin()
    with pytest.raises(UserState):
        services.disable_user(username=one.username, actor=one)
    assert User.objects.get(pk=one.pk).is_active


# --- Tokens --------------------------------------------------------------------------------------


def test_of_a_token_only_its_digest_and_beginning_are_kept() -> None:
    person = make_operator()
    kept = ApiToken.objects.get()
    assert kept.digest == queries.digest(person.token) != person.token
    assert kept.prefix == person.token[:8] == str(kept)[:8]
    everything = repr([list(model.objects.values()) for model in (ApiToken, Event, User)])
    assert person.token not in everything
    assert person.token[9:] not in everything


def test_a_new_token_kills_the_old_ones_at_once() -> None:
    person = make_operator("ada")
    second = services.issue_token(user=person.user, actor=None)
    new = services.regenerate_token(username="ada", actor=None)
    assert queries.user_of_token(new) == person.user
    assert queries.user_of_token(person.token) is None
    assert queries.user_of_token(second) is None


def test_revoking_counts_the_live_tokens_and_tells_of_them_once() -> None:
    person = make_operator()
    assert services.revoke_tokens(user=person.user, actor=None) == 1
    assert services.revoke_tokens(user=person.user, actor=None) == 0
    assert kinds(person.user) == ["user.created", "token.issued", "token.revoked"]


def test_a_disabled_user_gets_no_token_and_keeps_the_old_one() -> None:
    admin, person = make_admin().user, make_operator("ada")
    services.disable_user(username="ada", actor=admin)
    with pytest.raises(UserState):
        services.issue_token(user=person.user, actor=admin)
    with pytest.raises(UserState):
        services.regenerate_token(username="ada", actor=admin)
    services.enable_user(username="ada", actor=admin)
    assert queries.user_of_token(person.token) == person.user


# --- Enabled and disabled ------------------------------------------------------------------------


def test_a_token_reaches_no_further_than_its_owner_does_now() -> None:
    person = make_admin()
    make_admin()
    for role, status in ((Role.MONITOR, 403), (Role.ADMIN, 201)):
        services.set_role(user=person.user, role=role, actor=None)
        name = {"name": f"made by a {role}"}
        assert person.post("/v6/customers/", name).status_code == status


@pytest.mark.runs_once("sqlite", "what a hash looks like")
def test_passwords_are_hashed_by_argon2_and_nothing_else_is_needed_to_check_one() -> None:
    read = runpy.run_path(str(CHECKOUT / "controlplane" / "settings.py"))
    with override_settings(PASSWORD_HASHERS=read["PASSWORD_HASHERS"]):
        encoded = services.make_ready("correct horse battery", username="ada").encoded
        assert encoded.startswith("argon2$argon2id$")
        assert check_password("correct horse battery", encoded)
        assert not check_password("correct horse batterz", encoded)


def test_disabling_blocks_at_once_and_enabling_revives_the_tokens() -> None:
    admin, person = make_admin().user, make_monitor("ada")
    services.disable_user(username="ada", actor=admin)
    assert queries.user_of_token(person.token) is None
    services.enable_user(username="ada", actor=admin)
    assert queries.user_of_token(person.token) == person.user
    assert kinds(person.user)[-2:] == ["user.disabled", "user.enabled"]


@pytest.mark.parametrize(("change", "prepared"), [(services.enable_user, False), (services.disable_user, True)])
def test_a_change_that_is_none_is_refused_and_leaves_no_event(change: Callable[..., User], prepared: bool) -> None:
    make_admin()
    user = make_operator("ada").user
    if prepared:
        services.disable_user(username="ada", actor=None)
    before = kinds(user)
    with pytest.raises(UserState):
        change(username="ada", actor=None)
    assert kinds(user) == before


@pytest.mark.parametrize("name", ["nobody", "", "a\0b", "\ud800", "x" * 10_000])
@pytest.mark.parametrize("change", [services.enable_user, services.disable_user, services.regenerate_token])
def test_a_user_whom_nobody_knows_is_named(change: Callable[..., object], name: str) -> None:
    with pytest.raises(UserNotFound) as refused:
        change(username=name, actor=None)
    assert refused.value.field == "user"
    assert len(refused.value.message.encode()) < 1000


def test_what_happened_is_written_in_the_transaction_in_which_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = make_admin().user
    make_operator("ada")
    make_customer_user("eve")

    def fail(entries: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(events, "record", fail)
    for change in (
        lambda: services.create_user(username="new", role=Role.MONITOR, actor=admin),
        lambda: services.disable_user(username="ada", actor=admin),
        lambda: services.regenerate_token(username="ada", actor=admin),
        lambda: services.set_role(user=User.objects.get(username="ada"), role=Role.MONITOR, actor=admin),
    ):
        before = [list(model.objects.order_by("pk").values()) for model in (User, ApiToken)]
        with pytest.raises(RuntimeError):
            change()
        assert [list(model.objects.order_by("pk").values()) for model in (User, ApiToken)] == before


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_admins_who_disable_each_other_leave_one() -> None:
    pairs = [("one", "two"), ("two", "one")]
    people = {name: make_admin(name).user for name, _ in pairs}
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def disable(who: str, whom: str) -> None:
        try:
            start.wait(10)
            services.disable_user(username=whom, actor=people[who])
            outcomes.append("done")
        except UserState:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=disable, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["done", "refused"]
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1


def test_a_customer_is_looked_up_once_per_process(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first = services.ensure_customer("acme")
    monkeypatch.setattr(Customer.objects, "get_or_create", None)
    assert services.ensure_customer("acme") == first


def test_a_customer_is_not_remembered_before_its_transaction_has_committed() -> None:
    with transaction.atomic():
        gone = services.ensure_customer("acme")
        transaction.set_rollback(True)
    found = services.ensure_customer("acme")
    assert list(Customer.objects.values_list("pk", flat=True)) == [found]
    assert gone is not None
