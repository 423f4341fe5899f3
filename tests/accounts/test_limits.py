"""Limits and features of users, and their wishes for more."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django_q.models import OrmQ

from accounts import services, tasks
from accounts.errors import LimitRequestDecided, LimitRequestPending
from accounts.models import Event, LimitChangeRequest, User
from controlplane.core.errors import InvalidRequest
from tests.factories import make_admin, make_customer_user, make_operator
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def ada(email: str | None = "ada@example.com") -> User:
    return services.update_user(user=make_customer_user("ada").user, actor=None, email=email)


def wish(user: User, limit: int = 20) -> LimitChangeRequest:
    return services.request_limit(user=user, desired_limit=limit, reason="More rooms.")


def kinds() -> list[str]:
    return list(Event.objects.filter(subject_kind="user").order_by("pk").values_list("kind", flat=True))


def test_what_is_approved_is_given_and_mailed() -> None:
    user, operator = ada(), make_operator().user
    request = wish(user)
    services.approve_limit(request=request, actor=operator, note="Have fun <there>.")
    user.refresh_from_db()
    request.refresh_from_db()
    assert user.instance_limit == 20
    assert (request.status, request.decided_by, request.limit_then) == ("APPROVED", operator, 5)
    assert kinds()[-3:] == ["limit_request.made", "user.limit-changed", "limit_request.approved"]
    changed = Event.objects.get(kind="user.limit-changed")
    assert (changed.before, changed.after) == ({"instance_limit": 5}, {"instance_limit": 20})
    assert OrmQ.objects.latest("pk").task["kwargs"] == {"request_id": request.pk}
    tasks.send_limit_decision(request.pk)
    [letter] = mail.outbox
    assert letter.to == ["ada@example.com"]
    assert "Your limit is 20 now." in letter.body
    assert "Have fun <there>." in letter.body
    assert isinstance(letter, mail.EmailMultiAlternatives)
    assert "Have fun &lt;there&gt;." in str(letter.alternatives[0][0])


def test_what_is_rejected_changes_nothing_and_is_mailed() -> None:
    user = ada()
    request = wish(user)
    services.reject_limit(request=request, actor=None)
    user.refresh_from_db()
    assert user.instance_limit == 5
    tasks.send_limit_decision(request.pk)
    assert "Your limit stays at 5." in mail.outbox[0].body
    assert wish(user).pk != request.pk  # who was refused may ask again


def test_nobody_is_mailed_who_has_no_address_or_is_gone_or_waits() -> None:
    user = ada(None)
    request = wish(user)
    tasks.send_limit_decision(request.pk)
    services.approve_limit(request=request, actor=None)
    tasks.send_limit_decision(request.pk)
    User.objects.filter(pk=user.pk).update(email="ada@example.com", is_active=False)
    tasks.send_limit_decision(request.pk)
    assert mail.outbox == []


def test_a_limit_that_staff_raised_meanwhile_stays() -> None:
    user = ada()
    request = wish(user)
    services.update_user(user=user, actor=None, instance_limit=100)
    services.approve_limit(request=request, actor=None)
    user.refresh_from_db()
    assert user.instance_limit == 100


@pytest.mark.parametrize("first", [services.approve_limit, services.reject_limit])
@pytest.mark.parametrize("then", [services.approve_limit, services.reject_limit])
def test_what_is_decided_is_decided(first: Any, then: Any) -> None:
    user = ada()
    request = wish(user)
    first(request=request, actor=None)
    with pytest.raises(LimitRequestDecided):
        then(request=request, actor=None)
    user.refresh_from_db()
    assert user.instance_limit == (20 if first is services.approve_limit else 5)


@pytest.mark.parametrize("limit", [0, 4, 5, 10**6 + 1, 2**63])
def test_a_wish_is_for_more_than_there_is_and_can_be_stored(limit: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wish(ada(), limit)
    assert refused.value.field == "desired_limit"


def test_one_wish_of_a_user_waits() -> None:
    user = ada()
    wish(user)
    with pytest.raises(LimitRequestPending):
        wish(user, 30)
    wish(make_customer_user("bob").user)


def test_who_closes_their_account_waits_for_nothing() -> None:
    user = ada()
    request = wish(user)
    services.close_account(user)
    request.refresh_from_db()
    assert request.status == "REJECTED"


def test_features_are_set_and_told_and_strange_ones_refused() -> None:
    user, admin = ada(), make_admin().user
    services.update_user(user=user, actor=admin, allowed_features=["recordings", "recordings"])
    services.update_user(user=user, actor=admin, allowed_features=["recordings"], instance_limit=5)
    event = Event.objects.get(kind="user.features-changed")
    assert (event.before, event.after) == ({"allowed_features": []}, {"allowed_features": ["recordings"]})
    assert "user.limit-changed" not in kinds()
    for changes in ({"allowed_features": ["flying"]}, {"instance_limit": -1}, {"instance_limit": 10**6 + 1}):
        with pytest.raises(InvalidRequest) as refused:
            services.update_user(user=user, actor=admin, **changes)
        assert refused.value.field in changes


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_those_who_decide_or_ask_at_once_one_does() -> None:
    user = ada()
    asked = at_once([lambda: wish(user) for _ in range(4)])
    assert [type(each).__name__ for each in asked].count("LimitRequestPending") == 3, asked
    request = LimitChangeRequest.objects.get()
    decide = (services.approve_limit, services.reject_limit)
    found = at_once(
        [
            *(lambda each=each: each(request=request, actor=None) for each in decide * 2),
            lambda: wish(user, 30),
        ]
    )
    assert [type(each).__name__ for each in found[:4]].count("LimitRequestDecided") == 3, found
    assert found[4] is None or isinstance(found[4], LimitRequestPending | LimitChangeRequest)
    assert Event.objects.filter(kind__in=("limit_request.approved", "limit_request.rejected")).count() == 1
