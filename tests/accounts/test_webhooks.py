"""Webhooks: what is kept of them, what is refused, and sending again."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts import services
from accounts.errors import TooManyWebhooks, UserState, WebhookChanged, WebhookDisabled, WebhookNotFound
from accounts.models import DeliveryStatus, Event, Webhook
from accounts.services import redelivery
from accounts.services.webhooks import LARGEST_ID
from controlplane.core.encryption import decrypt
from controlplane.core.errors import InvalidRequest
from tests.factories import make_customer_user
from tests.hooks import REFUSED_HEADERS, REFUSED_URLS, URL, make_delivery, make_webhook

pytestmark = pytest.mark.django_db


def told(webhook: Webhook) -> list[tuple[str, Any]]:
    """What the log says of it."""
    rows = Event.objects.filter(subject_kind="webhook", subject_id=webhook.pk).order_by("pk")
    return list(rows.values_list("kind", "after"))


# --- Made ----------------------------------------------------------------------------------------


def test_its_secrets_are_encrypted_and_the_log_knows_none_of_them() -> None:
    sealed = services.seal("Bearer of-the-owner")
    assert len(base64.b64decode(sealed.signing.removeprefix("whsec_"))) == 32
    owner = make_customer_user().user
    made = services.make_webhook(owner=owner, actor=owner, sealed=sealed, name="ci", url=URL, kinds=["job.moved"])
    made.refresh_from_db()
    assert decrypt(made.secrets) == {"signing": sealed.signing, "authorization": "Bearer of-the-owner"}
    assert "Bearer" not in made.secrets
    said = {"name": "ci", "form": "standard", "kinds": ["job.moved"], "subject_kind": "", "subject_id": None}
    assert told(made) == [("webhook.created", {**said, "is_enabled": True})]
    assert Event.objects.get(kind="webhook.created").customer_id == owner.customer_id


def test_no_two_have_one_secret() -> None:
    assert services.seal().signing != services.seal().signing


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_an_address_that_is_not_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_webhook(url=url)
    assert (refused.value.field, refused.value.code) == ("url", "ADDRESS_REFUSED")
    webhook = make_webhook()
    with pytest.raises(InvalidRequest):
        services.change_webhook(webhook=webhook, actor=None, url=url)
    webhook.refresh_from_db()
    assert webhook.url == URL


def test_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="2048"):
        make_webhook(url=f"https://example.com/{'x' * 2030}")


def test_an_address_in_a_network_of_the_house_is_taken_when_the_house_says_so(settings: Any) -> None:
    settings.CALLABLE_NETWORKS = ["10.1.0.0/16"]
    assert make_webhook(url="http://10.1.2.3:8000/hook").url == "http://10.1.2.3:8000/hook"


@pytest.mark.parametrize("header", REFUSED_HEADERS.values(), ids=REFUSED_HEADERS)
def test_what_is_no_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        services.seal(header)
    assert refused.value.field == "authorization"
    webhook = make_webhook(authorization="Bearer old")
    with pytest.raises(InvalidRequest):
        services.change_webhook(webhook=webhook, actor=None, authorization=header)
    webhook.refresh_from_db()
    assert services.authorization_of(webhook) == "Bearer old"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"form": "slack"}, "form"),
        ({"kinds": ["job.moved", "job.exploded"]}, "kinds"),
        ({"subject_kind": "planet"}, "subject_kind"),
        ({"subject_id": 7}, "subject_kind"),
        ({"subject_kind": "job", "subject_id": -1}, "subject_id"),
        ({"subject_kind": "job", "subject_id": LARGEST_ID + 1}, "subject_id"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_webhook(**values)
    assert refused.value.field == field
    assert not Webhook.objects.exists()


def test_a_user_has_so_many_and_no_more(settings: Any) -> None:
    settings.MAX_WEBHOOKS = 2
    owner = make_customer_user().user
    first = make_webhook(owner)
    make_webhook(owner)
    with pytest.raises(TooManyWebhooks):
        make_webhook(owner)
    make_webhook()  # of somebody else
    services.delete_webhook(webhook=first, actor=owner)
    make_webhook(owner)


def test_a_disabled_user_gets_none() -> None:
    owner = make_customer_user("gone").user
    services.disable_user(username="gone", actor=None)
    with pytest.raises(UserState):
        make_webhook(owner)


# --- Changed -------------------------------------------------------------------------------------


def test_the_log_says_which_fields_were_changed_and_nothing_is_said_of_what_stays() -> None:
    webhook = make_webhook(authorization="Bearer old")
    services.change_webhook(webhook=webhook, actor=None, name="nightly", url=URL, authorization="Bearer new")
    webhook.refresh_from_db()
    services.change_webhook(webhook=webhook, actor=None, name="nightly", authorization="Bearer new")
    services.change_webhook(webhook=webhook, actor=None, is_enabled=False)
    assert told(webhook)[1:] == [
        ("webhook.changed", {"fields": ["authorization", "name"], "name": "nightly"}),
        ("webhook.changed", {"fields": ["is_enabled"], "is_enabled": False}),
    ]
    webhook.refresh_from_db()
    assert (webhook.name, services.authorization_of(webhook)) == ("nightly", "Bearer new")


def test_a_header_is_taken_away_by_none_and_the_signing_secret_stays() -> None:
    webhook = make_webhook(authorization="Bearer old")
    signing = decrypt(webhook.secrets)["signing"]
    changed = services.change_webhook(webhook=webhook, actor=None, authorization=None)
    assert decrypt(changed.secrets) == {"signing": signing}


@pytest.mark.parametrize("changes", [{"is_enabled": True}, {"url": "https://example.org/other"}])
def test_enabled_anew_or_elsewhere_it_begins_without_its_failures(changes: Any) -> None:
    webhook, now = make_webhook(), timezone.now()
    failing = {"failures": 9, "failing_since": now, "next_call_at": now + timedelta(hours=8)}
    enabled = "is_enabled" not in changes
    Webhook.objects.filter(pk=webhook.pk).update(is_enabled=enabled, disabled_because="It was gone.", **failing)
    changed = services.change_webhook(webhook=webhook, actor=None, **changes)
    changed.refresh_from_db()
    assert (changed.failures, changed.failing_since, changed.next_call_at) == (0, None, None)
    assert (changed.disabled_because, changed.is_enabled) == ("", True)


def test_an_id_goes_with_the_kind_that_it_is_of() -> None:
    webhook = make_webhook(subject_kind="job", subject_id=7)
    changed = services.change_webhook(webhook=webhook, actor=None, subject_id=8)
    assert (changed.subject_kind, changed.subject_id) == ("job", 8)
    changed = services.change_webhook(webhook=changed, actor=None, subject_kind="job")
    assert (changed.subject_kind, changed.subject_id) == ("job", 8)
    changed = services.change_webhook(webhook=changed, actor=None, subject_kind="recipe")
    assert (changed.subject_kind, changed.subject_id) == ("recipe", None)
    changed = services.change_webhook(webhook=changed, actor=None, subject_kind="")
    assert (changed.subject_kind, changed.subject_id) == ("", None)
    with pytest.raises(InvalidRequest):
        services.change_webhook(webhook=changed, actor=None, subject_id=7)


def test_a_new_secret_keeps_the_header() -> None:
    webhook = make_webhook(authorization="Bearer x")
    before = decrypt(webhook.secrets)["signing"]
    secret = services.rotate_secret(webhook=webhook, actor=None)
    webhook.refresh_from_db()
    assert decrypt(webhook.secrets) == {"signing": secret, "authorization": "Bearer x"}
    assert secret != before
    assert told(webhook)[-1] == ("webhook.changed", {"fields": ["secret"]})


def test_of_two_who_change_its_secrets_at_once_the_second_is_told() -> None:
    webhook = make_webhook()
    stale = Webhook.objects.get(pk=webhook.pk)
    services.rotate_secret(webhook=webhook, actor=None)
    with pytest.raises(WebhookChanged):
        services.change_webhook(webhook=stale, actor=None, authorization="Bearer x")
    services.change_webhook(webhook=stale, actor=None, name="which is no secret")


def test_what_is_deleted_is_gone_with_its_deliveries() -> None:
    webhook = make_webhook()
    make_delivery(webhook, 1)
    gone = Webhook.objects.get(pk=webhook.pk)
    services.delete_webhook(webhook=webhook, actor=None)
    services.delete_webhook(webhook=gone, actor=None)
    assert [kind for kind, _ in told(gone)] == ["webhook.created", "webhook.deleted"]
    with pytest.raises(WebhookNotFound):
        services.change_webhook(webhook=gone, actor=None, name="x")
    with pytest.raises(WebhookNotFound):
        services.redeliver(webhook=gone, actor=None, first=1, last=1)


def test_who_closes_their_account_leaves_none() -> None:
    webhook = make_webhook()
    other = make_webhook()
    services.close_account(webhook.owner)
    assert list(Webhook.objects.all()) == [other]


# --- Sent again ----------------------------------------------------------------------------------


def test_a_range_is_sent_again_under_the_same_positions_with_what_came_of_it_before() -> None:
    webhook, other = make_webhook(), make_webhook()
    Webhook.objects.filter(pk=webhook.pk).update(next_call_at=timezone.now() + timedelta(hours=8), failures=3)
    for position in (1, 2, 3, 4):
        status = DeliveryStatus.DELIVERED if position == 2 else DeliveryStatus.FAILED
        make_delivery(webhook, position, status, first_sent_at=timezone.now(), attempts=10)
        make_delivery(other, position)
    assert services.redeliver(webhook=webhook, actor=None, first=2, last=3) == 2
    again = webhook.deliveries.filter(status=DeliveryStatus.PENDING).order_by("position")
    assert [each.position for each in again] == [2, 3]
    for each in again:
        assert (each.attempts, each.ended_at, each.first_sent_at, each.held_until, each.holder) == (0, *[None] * 4)
        assert each.due_at <= timezone.now()
        assert len(each.tries) == 1
    assert not other.deliveries.filter(status=DeliveryStatus.PENDING).exists()
    webhook.refresh_from_db()
    assert (webhook.next_call_at, webhook.failures) == (None, 3)
    assert told(webhook)[-1] == ("webhook.redelivered", {"first": 2, "last": 3, "count": 2})


def test_what_waits_is_sent_at_once_and_what_is_being_sent_is_left_alone() -> None:
    webhook, now = make_webhook(), timezone.now()
    waits = make_delivery(webhook, 1, DeliveryStatus.PENDING, due_at=now + timedelta(hours=4), attempts=6)
    holder = uuid4()
    held = {"held_until": now + timedelta(minutes=1), "holder": holder, "attempts": 6}
    being_sent = make_delivery(webhook, 2, DeliveryStatus.PENDING, **held)
    left = make_delivery(webhook, 3, DeliveryStatus.PENDING, **{**held, "held_until": now - timedelta(minutes=1)})
    assert services.redeliver(webhook=webhook, actor=None, first=1, last=9) == 2
    for each in (waits, being_sent, left):
        each.refresh_from_db()
    assert (waits.attempts, left.attempts, left.holder) == (0, 0, None)
    assert waits.due_at <= timezone.now()
    assert (being_sent.attempts, being_sent.holder) == (6, holder)


def test_nothing_to_send_again_is_no_event() -> None:
    webhook = make_webhook()
    assert services.redeliver(webhook=webhook, actor=None, first=1, last=LARGEST_ID) == 0
    assert [kind for kind, _ in told(webhook)] == ["webhook.created"]


@pytest.mark.parametrize(("first", "last"), [(0, 1), (-1, 1), (2, 1)])
def test_what_is_no_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(InvalidRequest):
        services.redeliver(webhook=make_webhook(), actor=None, first=first, last=last)


def test_too_many_at_once_are_refused_and_none_of_them_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redelivery, "MAX_AT_ONCE", 2)
    webhook = make_webhook()
    for position in (1, 2, 3):
        make_delivery(webhook, position)
    with pytest.raises(InvalidRequest, match="At most 2"):
        services.redeliver(webhook=webhook, actor=None, first=1, last=3)
    assert not webhook.deliveries.filter(status=DeliveryStatus.PENDING).exists()
    assert services.redeliver(webhook=webhook, actor=None, first=2, last=3) == 2


def test_a_disabled_webhook_is_sent_nothing_again() -> None:
    webhook = make_webhook()
    make_delivery(webhook, 1)
    services.change_webhook(webhook=webhook, actor=None, is_enabled=False)
    with pytest.raises(WebhookDisabled):
        services.redeliver(webhook=webhook, actor=None, first=1, last=1)
