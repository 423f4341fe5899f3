"""Which events become deliveries to whom, and with what body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts import events
from accounts.event_log import Wanted, read
from accounts.fan_out import FOLLOWER, fan_out
from accounts.models import DeliveryStatus, Follower, Form, User, Webhook, WebhookDelivery
from accounts.services import disable_user, ensure_customer
from tests.answers import json_of
from tests.factories import Person, make_admin, make_customer_user, make_job, make_monitor, make_operator
from tests.query_budget import counted
from tests.webhooks import make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _begun(db: None) -> None:
    fan_out()


def put(kind: str = "job.moved", subject: int = 7, customer: str | None = "acme", **more: Any) -> None:
    actor: User | None = more.pop("actor", None)
    customer_id = ensure_customer(customer) if customer else None
    said = (actor.pk if actor else None, customer_id, {"status": "QUEUED"}, {"status": "RUNNING"})
    entry: events.Entry = (kind, kind.split(".")[0], subject, *said)
    if owner := more.pop("owner", None):
        events.record_personal([events.Personal(entry, owner.pk, **more)])
    else:
        events.record([entry])


def all_out() -> None:
    while fan_out():
        pass


def sent_to(hook: Webhook) -> list[WebhookDelivery]:
    return list(hook.deliveries.order_by("position"))


def bodies(hook: Webhook) -> list[Any]:
    return [json.loads(each.body) for each in sent_to(hook)]


def test_a_delivery_says_what_the_api_tells_its_owner() -> None:
    owner = make_operator()
    hook = make_webhook(owner.user)
    put(actor=owner.user)
    all_out()
    (event,) = json_of(owner.get("/v6/events/", kind="job.moved"))["results"]
    assert bodies(hook) == [{"type": "job.moved", "timestamp": event["at"], "data": event}]
    (delivery,) = sent_to(hook)
    assert (delivery.position, delivery.kind, delivery.status) == (event["position"], "job.moved", "PENDING")
    assert (delivery.subject_kind, delivery.subject_id) == ("job", 7)
    assert delivery.attempts == 0
    assert delivery.tries == []


@pytest.mark.parametrize("make", [make_admin, make_operator, make_monitor, make_customer_user])
def test_everybody_is_sent_exactly_what_they_may_read(make: Any) -> None:
    strangers, colleague = make_customer_user(customer="other"), make_customer_user()
    owner: Person = make()
    hook = make_webhook(owner.user)
    position = read(owner.user, Wanted(), 0).next_after
    all_out()
    for actor in (None, owner.user, strangers.user, colleague.user):
        put(actor=actor)
        put(customer="other", actor=actor)
        put("user.closing", customer="acme", actor=actor)
        put("hold.placed", customer=None, actor=actor)
    make_job(make_operator())
    all_out()
    told = json_of(owner.get("/v6/events/", after=position, limit=1000))["results"]
    assert told
    assert [body["data"] for body in bodies(hook)] == told


def test_kinds_and_subjects_narrow_what_is_sent() -> None:
    owner = make_operator().user
    kinds = make_webhook(owner, kinds=["job.moved", "job.held"])
    subject = make_webhook(owner, subject_kind="job", subject_id=8)
    subjects = make_webhook(owner, subject_kind="hold")
    put()
    put(subject=8)
    put("job.held", subject=8)
    put("job.placed")
    put("hold.placed", customer=None, subject=8)
    all_out()
    assert [each.kind for each in sent_to(kinds)] == ["job.moved", "job.moved", "job.held"]
    assert [each.kind for each in sent_to(subject)] == ["job.moved", "job.held"]
    assert [each.kind for each in sent_to(subjects)] == ["hold.placed"]


def test_fishjams_form_is_the_payload_of_what_is_the_owners_own_and_nothing_else() -> None:
    owner, colleague, admin = make_customer_user().user, make_customer_user().user, make_admin().user
    hook, others, admins = (make_webhook(each, form=Form.FISHJAM) for each in (owner, colleague, admin))
    payload = {"kind": "create_container", "data": {"uuid": "1", "name": "ü", "status": "running"}}
    put("container.moved", owner=owner, fishjam=payload)
    put("container.moved", owner=owner)
    put("container.moved")
    put()
    all_out()
    (delivery,) = sent_to(hook)
    assert json.loads(delivery.body) == payload
    assert "ü" in delivery.body
    assert sent_to(others) == sent_to(admins) == []


def test_what_is_one_users_alone_is_told_to_them_and_to_staff() -> None:
    owner, colleague, monitor = make_customer_user().user, make_customer_user().user, make_monitor().user
    hook, others, staffs = (make_webhook(each) for each in (owner, colleague, monitor))
    put("container.moved", subject=1, owner=owner)
    put("container.moved", subject=2)
    all_out()
    assert [each.subject_id for each in sent_to(hook)] == [1]
    assert sent_to(others) == []
    assert [each.subject_id for each in sent_to(staffs)] == [1, 2]
    for reader, found in ((owner, 1), (colleague, 0), (monitor, 2)):
        assert len(read(reader, Wanted(kinds=frozenset({"container.moved"})), 0).events) == found


def test_who_is_disabled_and_what_is_disabled_is_sent_nothing() -> None:
    owner = make_customer_user()
    off, of_disabled = make_webhook(owner.user, is_enabled=False), make_webhook(make_customer_user("gone").user)
    disable_user(username="gone", actor=None)
    put()
    all_out()
    assert not sent_to(off)
    assert not sent_to(of_disabled)


def test_what_happened_before_a_webhook_was_there_is_not_sent_and_nothing_is_sent_twice() -> None:
    owner = make_operator().user
    put()  # nobody has looked at it yet
    hook = make_webhook(owner)
    put(subject=9)
    all_out()
    assert [each.subject_id for each in sent_to(hook)] == [9]
    WebhookDelivery.objects.update(attempts=3)
    # As after a restore of the follower's row: what is there stays as it is.
    Follower.objects.filter(name=FOLLOWER).update(position=0)
    all_out()
    assert [(each.subject_id, each.attempts) for each in sent_to(hook) if each.subject_id == 9] == [(9, 3)]
    positions = list(WebhookDelivery.objects.values_list("position", flat=True))
    assert len(positions) == len(set(positions))
    assert {each.status for each in sent_to(hook)} == {DeliveryStatus.PENDING}


def test_the_statements_are_as_many_whatever_the_number_of_events_and_webhooks() -> None:
    owner = make_operator().user
    make_webhook(owner)
    put()
    with counted() as one:
        fan_out()
    for _ in range(5):
        make_webhook(owner)
        make_webhook(make_customer_user().user)
    for _ in range(20):
        put(actor=owner)
    all_out()
    for _ in range(20):
        put(actor=owner)
    with counted() as many:
        fan_out()
    assert len(many) <= len(one) + 1
