"""Sending webhooks: signed, in order, to many receivers of which some are slow, gone or out of order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from accounts import delivering, events, tasks
from accounts.delivering import Sender
from accounts.fan_out import fan_out
from accounts.models import DeliveryStatus, Event, Form, User, Webhook, WebhookDelivery
from accounts.services import deliveries, disable_user, ensure_customer
from accounts.services.deliveries import AGAIN_SECONDS, Due, Outcome
from tests.factories import make_customer_user, make_operator
from tests.webhooks import SECRET, Receiver, make_webhook, receivers, wait_until

pytestmark = pytest.mark.django_db
HANGS = threading.Event()  # never set


@pytest.fixture(autouse=True)
def _allowed(settings: Settings, db: None) -> None:
    settings.CALLABLE_NETWORKS = ["127.0.0.0/8"]
    fan_out()


@pytest.fixture
def receiver() -> Iterator[Callable[[], Receiver]]:
    with receivers() as make:
        yield make


@pytest.fixture
def owner() -> User:
    return make_operator().user


def put(*subjects: int, owner: User | None = None) -> None:
    acme = ensure_customer("acme")
    said = (None, acme, {"status": "QUEUED"}, {"status": "RUNNING"})
    entries = [("job.moved", "job", subject, *said) for subject in subjects]
    if owner is None:
        events.record(entries)
    else:
        payload = {"kind": "moved", "data": {}}
        events.record_personal([events.Personal(entry, owner.pk, payload) for entry in entries])
    while fan_out():
        pass


def a_sender(threads: int = 32, send: Callable[[Due], Outcome] = delivering.call) -> Sender:
    return Sender(uuid4(), threads, send)


def send_until(sender: Sender, condition: Callable[[], bool], what: str) -> None:
    def turn() -> bool:
        sender.turn()
        sender.wait(0.01)
        return condition()

    wait_until(turn, what)


def all_ended() -> bool:
    return not WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING).exists()


def make_due(hook: Webhook) -> None:
    """As when the pauses of everything are over."""
    now = timezone.now()
    hook.deliveries.update(due_at=now)
    Webhook.objects.filter(pk=hook.pk).update(next_call_at=None)


def answered(status: int, **more: Any) -> Callable[[Due], Outcome]:
    return lambda due: Outcome(due, timezone.now(), 1, status, **more)


def one_round(hook: Webhook, sender: Sender, attempts: int) -> None:
    make_due(hook)
    send_until(sender, lambda: hook.deliveries.filter(attempts=attempts).exists(), f"attempt {attempts}")


# --- What is sent ---


def test_a_delivery_is_signed_as_standard_webhooks_has_it(owner: User, receiver: Callable[[], Receiver]) -> None:
    there = receiver()
    hook = make_webhook(owner, there.url)
    put(7)
    send_until(a_sender(), all_ended, "that it is sent")
    (headers, body), delivery = there.taken[0], hook.deliveries.get()
    assert body == delivery.body
    assert headers["webhook-id"] == f"evt_{delivery.position}"
    assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    digest = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == delivering.USER_AGENT
    assert "authorization" not in headers
    assert (delivery.status, delivery.attempts, delivery.held_until) == ("DELIVERED", 1, None)
    assert delivery.tries[0] | {"at": 0, "took_ms": 0} == {"at": 0, "status": 204, "took_ms": 0, "answer": ""}
    assert delivery.first_sent_at is not None
    assert delivery.ended_at is not None


def test_fishjams_form_is_sent_with_the_authorization_as_it_was_given(receiver: Callable[[], Receiver]) -> None:
    there = receiver()
    owner = make_customer_user().user
    make_webhook(owner, there.url, form=Form.FISHJAM, authorization="Basic  YTpi")
    put(7, owner=owner)
    send_until(a_sender(), all_ended, "that it is sent")
    headers, body = there.taken[0]
    assert json.loads(body) == {"kind": "moved", "data": {}}
    assert headers["authorization"] == "Basic  YTpi"
    assert headers["webhook-signature"].startswith("v1,")


def test_what_a_receiver_repeats_of_our_secrets_is_not_kept(owner: User, receiver: Callable[[], Receiver]) -> None:
    there = receiver()
    there.answers = lambda headers, body: (
        500,
        {"body": f"{headers['authorization']} or {headers['webhook-signature']}\0" + "x" * 5000},
    )
    hook = make_webhook(owner, there.url, authorization="Bearer very-secret-word")
    put(7)
    sender = a_sender()
    one_round(hook, sender, 1)
    kept = hook.deliveries.get().tries[0]["answer"]
    assert kept.startswith("*** or ***x")
    assert len(kept) == delivering.ANSWER_CHARACTERS


def test_an_address_inside_is_not_called_and_the_reason_is_kept(
    owner: User, receiver: Callable[[], Receiver], settings: Settings
) -> None:
    there = receiver()
    settings.CALLABLE_NETWORKS = []
    hook = make_webhook(owner, there.url.replace("http:", "https:"))
    put(7)
    one_round(hook, a_sender(), 1)
    assert there.taken == []
    assert "not on the internet" in hook.deliveries.get().tries[0]["error"]


# --- In which order, and how many at once ---


def test_events_of_a_subject_are_sent_in_their_order_though_one_fails_meanwhile(
    owner: User, receiver: Callable[[], Receiver]
) -> None:
    there = receiver()
    refused: list[str] = []

    def answers(headers: dict[str, str], body: str) -> tuple[int, dict[str, str]]:
        if '"id":7' in body and len(refused) < 2:
            refused.append(headers["webhook-id"])
            return 500, {}
        return 200, {}

    there.answers = answers
    hook = make_webhook(owner, there.url)
    put(7, 8, 7, 8, 7)
    sender = a_sender()

    def turn() -> bool:
        make_due(hook)
        return all_ended()

    send_until(sender, turn, "that all are taken")
    of_7 = [body["data"]["position"] for body in there.bodies() if body["data"]["subject"]["id"] == 7]
    assert of_7 == sorted(of_7)
    assert refused == [f"evt_{of_7[0]}"] * 2
    assert len(of_7) == 5


def test_four_are_called_at_once_when_all_is_well_and_one_while_it_fails(
    owner: User, receiver: Callable[[], Receiver]
) -> None:
    there = receiver()
    hook = make_webhook(owner, there.url)
    sender = a_sender()
    put(1)
    send_until(sender, all_ended, "that it is known to be well")
    assert there.most_at_once == 1
    there.gate.clear()
    put(*range(2, 22))
    send_until(sender, lambda: there.at_once == 4, "that four are under way")
    for _ in range(20):
        sender.turn()
    assert (there.at_once, there.most_at_once) == (4, 4)
    assert deliveries.take({hook.pk: 4}, uuid4()) == [], "nor does another process call it"
    there.answers = lambda headers, body: (500, {})
    there.gate.set()
    send_until(sender, lambda: Webhook.objects.get(pk=hook.pk).failures == 4, "that it fails")
    there.gate.clear()
    there.most_at_once = 0
    make_due(hook)
    send_until(sender, lambda: there.at_once == 1, "that one is under way")
    for _ in range(20):
        sender.turn()
    assert there.most_at_once == 1


def test_what_a_caller_leaves_when_a_call_fails_is_sent_by_others(owner: User) -> None:
    hook = make_webhook(owner)
    many = delivering.BATCH * delivering.AT_ONCE
    called: list[int] = []

    def send(due: Due) -> Outcome:
        called.append(due.position)
        return Outcome(due, timezone.now(), 1, 500 if len(called) == 3 else 200)

    sender = a_sender(send=send)
    put(1)
    send_until(sender, all_ended, "that it is known to be well")
    put(*range(2, 2 + many))
    waiting = hook.deliveries.filter(status=DeliveryStatus.PENDING)
    send_until(sender, lambda: waiting.filter(attempts=1).exists(), "that one has failed")
    Webhook.objects.filter(pk=hook.pk).update(next_call_at=None)
    send_until(sender, lambda: list(waiting.values_list("attempts", flat=True)) == [1], "that the others are sent")
    failed = waiting.get().position
    assert len(called) == 1 + many == len(set(called))
    make_due(hook)
    send_until(sender, all_ended, "that the last is sent")
    assert called.count(failed) == 2


def test_receivers_that_hang_delay_no_other(owner: User, receiver: Callable[[], Receiver]) -> None:
    """More of them than there are threads."""
    hanging = [receiver() for _ in range(12)]
    hooks = [make_webhook(owner, each.url) for each in hanging]
    good = receiver()
    sender = a_sender(threads=8)
    put(1)
    make_webhook(owner, good.url)
    send_until(sender, all_ended, "that they are known to be well")
    for each in hanging:
        each.gate.clear()
    put(*range(2, 42))
    send_until(sender, lambda: len(good.taken) == 40, "that the good one has all")
    assert all(each.most_at_once <= 4 for each in hanging)
    assert WebhookDelivery.objects.filter(webhook__in=hooks, status=DeliveryStatus.DELIVERED).count() == 12


# --- When it is not taken ---


def test_a_delivery_is_sent_again_later_and_later_and_then_given_up(owner: User) -> None:
    hook = make_webhook(owner)
    put(7)
    sender = a_sender(send=answered(500))
    for number, seconds in enumerate(AGAIN_SECONDS, 1):
        one_round(hook, sender, number)
        delivery = hook.deliveries.get()
        wait = (delivery.due_at - timezone.now()).total_seconds()
        assert 0.9 * seconds - 1 <= wait <= 1.1 * seconds, number
        assert delivery.status == DeliveryStatus.PENDING
    one_round(hook, sender, 11)
    delivery = hook.deliveries.get()
    assert (delivery.status, len(delivery.tries)) == (DeliveryStatus.FAILED, 11)
    assert delivery.ended_at is not None
    assert sum(AGAIN_SECONDS) > 23 * 3600


def test_at_most_twenty_tries_are_kept(owner: User) -> None:
    hook = make_webhook(owner)
    put(7)
    hook.deliveries.update(tries=[{"at": str(n)} for n in range(20)])
    one_round(hook, a_sender(send=answered(500)), 1)
    assert len(hook.deliveries.get().tries) == 20
    assert hook.deliveries.get().tries[0] == {"at": "1"}


def test_a_webhook_that_fails_rests_longer_and_longer_as_a_whole_until_it_answers(owner: User) -> None:
    hook = make_webhook(owner)
    put(*range(20))
    sender = a_sender(send=answered(503))
    rests = []
    for failures in range(1, 12):
        make_due(hook)
        send_until(sender, lambda n=failures: Webhook.objects.get(pk=hook.pk).failures == n, "a failure")  # type: ignore[misc]
        hook.refresh_from_db()
        assert hook.next_call_at is not None
        rests.append(round((hook.next_call_at - timezone.now()).total_seconds()))
        assert deliveries.callable_webhooks() == {}, "nothing of it is sent meanwhile"
    assert rests[:5] == [1, 2, 4, 8, 16]
    assert rests[-1] == 300
    make_due(hook)
    sender = a_sender(send=answered(200))
    send_until(sender, all_ended, "that all are taken")
    hook.refresh_from_db()
    assert (hook.failures, hook.failing_since, hook.next_call_at) == (0, None, None)


@pytest.mark.parametrize(("asked", "kept"), [("120", 120), ("999999", 3600), ("-5", 1), ("soon", 1), ("", 1)])
def test_retry_after_is_honoured_within_bounds(
    asked: str, kept: int, owner: User, receiver: Callable[[], Receiver]
) -> None:
    there = receiver()
    there.answers = lambda headers, body: (429, {"Retry-After": asked})
    hook = make_webhook(owner, there.url)
    put(7)
    one_round(hook, a_sender(), 1)
    hook.refresh_from_db()
    assert hook.next_call_at is not None
    assert kept - 1 <= (hook.next_call_at - timezone.now()).total_seconds() <= kept
    assert (hook.deliveries.get().due_at - timezone.now()).total_seconds() >= max(kept, 5) - 1


def test_retry_after_may_be_a_moment() -> None:
    at = timezone.now() + timedelta(minutes=10)
    found = delivering._retry_after(at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert found is not None
    assert 590 < found.total_seconds() <= 600
    assert delivering._retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == timedelta()


def is_disabled(hook: Webhook, why: str) -> None:
    """It is called no more, what was on its way is given up, and the log and its owner are told, once."""
    hook.refresh_from_db()
    assert not hook.is_enabled
    assert why in hook.disabled_because
    assert set(hook.deliveries.values_list("status", flat=True)) == {DeliveryStatus.FAILED}
    event = Event.objects.get(kind="webhook.disabled")
    assert (event.subject_id, event.after) == (hook.pk, {"why": hook.disabled_because, "is_enabled": False})
    assert deliveries.callable_webhooks() == {}
    assert OrmQ.objects.filter(key="work").count() == 1
    tasks.send_webhook_disabled(hook.pk)
    (sent,) = mail.outbox
    assert sent.to == ["owner@example.com"]
    assert hook.disabled_because in sent.body
    assert SECRET not in sent.body


def with_mail(user: User) -> User:
    User.objects.filter(pk=user.pk).update(email="owner@example.com")
    return user


def test_a_receiver_that_is_gone_is_called_no_more(owner: User) -> None:
    hook = make_webhook(with_mail(owner))
    put(1, 2, 3)
    sender = a_sender(send=answered(410))
    send_until(sender, lambda: not Webhook.objects.get(pk=hook.pk).is_enabled, "that it is disabled")
    sender.turn()
    is_disabled(hook, "410")


def test_a_webhook_that_has_taken_nothing_for_a_day_is_disabled(owner: User) -> None:
    hook = make_webhook(with_mail(owner))
    put(1, 2, 3)
    sender = a_sender(send=answered(500))
    one_round(hook, sender, 1)
    long_ago = timezone.now() - timedelta(hours=23, minutes=59)
    Webhook.objects.filter(pk=hook.pk).update(failing_since=long_ago)
    one_round(hook, sender, 1)
    assert Webhook.objects.get(pk=hook.pk).is_enabled
    Webhook.objects.filter(pk=hook.pk).update(failing_since=long_ago - timedelta(minutes=2))
    make_due(hook)
    send_until(sender, lambda: not Webhook.objects.get(pk=hook.pk).is_enabled, "that it is disabled")
    is_disabled(hook, "day")


def test_what_is_disabled_or_of_somebody_disabled_is_not_called(owner: User) -> None:
    off, of_disabled = make_webhook(owner), make_webhook(make_customer_user("gone").user)
    put(7)
    Webhook.objects.filter(pk=off.pk).update(is_enabled=False)
    disable_user(username="gone", actor=None)
    assert of_disabled.deliveries.count() == 1
    assert deliveries.callable_webhooks() == {}
    assert deliveries.take({off.pk: 4}, uuid4()) == []


# --- Whoever dies in between ---


def test_what_is_held_is_taken_by_nobody_else_until_it_is_let_go_or_its_time_is_over(owner: User) -> None:
    hook = make_webhook(owner)
    put(1, 2)
    one, other = uuid4(), uuid4()
    (held,) = deliveries.take({hook.pk: 1}, one)
    assert deliveries.take({hook.pk: 4}, other) == [], "one process calls a webhook at a time"
    (second,) = deliveries.take({hook.pk: 4}, one)
    assert held.id != second.id
    assert deliveries.release(one) == 2
    assert [due.id for due in deliveries.take({hook.pk: 4}, other)] == [held.id, second.id]
    hook.deliveries.update(held_until=timezone.now() - timedelta(seconds=1))
    assert len(deliveries.take({hook.pk: 4}, one)) == 2


def test_a_sender_that_leaves_gives_back_what_has_not_ended(owner: User) -> None:
    hook = make_webhook(owner)
    put(7)
    hangs, begun = threading.Event(), threading.Event()

    def send(due: Due) -> Outcome:
        begun.set()
        hangs.wait(30)
        return Outcome(due, timezone.now(), 1, 200)

    sender = a_sender(send=send)
    send_until(sender, begun.is_set, "that it is called")
    sender.leave(0.05)
    assert hook.deliveries.filter(held_until=None, status=DeliveryStatus.PENDING).count() == 1
    hangs.set()


def test_many_that_cannot_be_sent_yet_hide_none_that_can(owner: User) -> None:
    hook = make_webhook(owner)
    put(*range(1, 31), 99)
    later = timezone.now() + timedelta(hours=1)
    hook.deliveries.exclude(subject_id=99).update(due_at=later)
    assert len(deliveries.take({hook.pk: 4}, uuid4())) == 1


def test_a_run_sends_what_happens_and_rings_for_the_next(owner: User, receiver: Callable[[], Receiver]) -> None:
    there = receiver()
    make_webhook(owner, there.url)
    events.record([("job.moved", "job", 7, None, None, None, None)])
    beats: list[int] = []
    delivering.run(lambda: len(there.taken) == 1, lambda: beats.append(1), a_sender())
    assert beats
    assert all_ended()
    assert OrmQ.objects.filter(key="webhooks").count() == 1
    assert connection.is_usable()
