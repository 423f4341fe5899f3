"""Webhooks and deliveries in the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import services
from accounts.models import DeliveryStatus, Event, Webhook
from controlplane.core.encryption import decrypt
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.hooks import make_delivery, make_webhook
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
WEBHOOKS = "/admin/accounts/webhook/"
DELIVERIES = "/admin/accounts/webhookdelivery/"


def listed(path: str, **parameters: Any) -> list[Any]:
    answer = browser("admin").get(path, parameters)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def page_of(row: Any, name: str = "change") -> str:
    return reverse(f"admin:accounts_{row._meta.model_name}_{name}", args=[row.pk])


def press(row: Any, name: str, wish: Any = None, role: str = "admin") -> Any:
    return browser(role).post(page_of(row, name), wish or {})


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_and_only_admins_have_buttons(role: str) -> None:
    webhook = make_webhook()
    delivery = make_delivery(webhook, 1)
    client = browser(role)
    for path in (WEBHOOKS, DELIVERIES, page_of(webhook), page_of(delivery)):
        assert client.get(path).status_code == 200
    for row, names in ((webhook, ("disable", "redeliver", "remove")), (delivery, ("redeliver",))):
        shown = text_of(client.get(page_of(row)))
        for name in names:
            assert (page_of(row, name) in shown) is (role == "admin")
            assert client.get(page_of(row, name)).status_code == (200 if role == "admin" else 403)
            if role != "admin":
                assert client.post(page_of(row, name), {"first": 1, "last": 1}).status_code == 403
    webhook.refresh_from_db()
    assert webhook.is_enabled


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    webhook = make_webhook()
    delivery = make_delivery(webhook, 1)
    for path in (WEBHOOKS, DELIVERIES, page_of(webhook), page_of(delivery), page_of(webhook, "remove")):
        assert browser(role).get(path).status_code == 302
    assert press(webhook, "remove", role=role).status_code == 302
    assert Webhook.objects.exists()


def test_nobody_adds_or_edits_rows_there() -> None:
    webhook = make_webhook()
    client = browser("admin")
    assert client.get(f"{WEBHOOKS}add/").status_code == 403
    assert client.post(page_of(webhook), {"url": "https://example.org/"}).status_code == 403
    assert client.post(page_of(make_delivery(webhook, 1)), {"body": "x"}).status_code == 403


# --- Pages ---------------------------------------------------------------------------------------


def test_no_page_shows_a_secret() -> None:
    webhook = make_webhook(authorization="Bearer very-hidden")
    signing = decrypt(webhook.secrets)["signing"]
    delivery = make_delivery(webhook, 1)
    for path in (WEBHOOKS, DELIVERIES, page_of(webhook), page_of(delivery), page_of(webhook, "disable")):
        shown = text_of(browser("admin").get(path))
        assert not any(secret in shown for secret in ("very-hidden", signing, webhook.secrets))


def test_the_list_says_how_each_does_and_what_is_not_sent_yet_at_the_same_cost() -> None:
    failing, disabled, well = (make_webhook(name=name) for name in ("failing", "disabled", "well"))
    Webhook.objects.filter(pk=failing.pk).update(failing_since=timezone.now() - timedelta(hours=1), failures=4)
    services.change_webhook(webhook=disabled, actor=None, is_enabled=False)
    for position in (1, 2, 3):
        make_delivery(failing, position, DeliveryStatus.PENDING)
        make_delivery(well, position, DeliveryStatus.DELIVERED)
    assert [(row.name, row.backlog) for row in listed(WEBHOOKS)] == [("well", 0), ("disabled", 0), ("failing", 3)]
    client = browser("admin")
    with within_budget("admin: webhooks"):
        client.get(WEBHOOKS)
    for number in range(5):
        make_delivery(make_webhook(), number, DeliveryStatus.PENDING)
    with within_budget("admin: webhooks"):
        client.get(WEBHOOKS)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"does": "failing"}, ["failing"]),
        ({"does": "disabled"}, ["disabled"]),
        ({"does": "enabled"}, ["well", "failing"]),
        ({"does": "sleeping"}, []),
        ({"form": "fishjam"}, ["well"]),
        ({"owner__username": "nobody"}, []),
        ({"q": "well"}, ["well"]),
        ({"q": "WEL"}, ["well"]),
        ({"q": "ell"}, []),
    ],
)
def test_the_list_is_narrowed(parameters: dict[str, str], names: list[str]) -> None:
    failing, disabled = make_webhook(name="failing"), make_webhook(name="disabled")
    well = make_webhook(name="well", form="fishjam")
    Webhook.objects.filter(pk=failing.pk).update(failing_since=timezone.now())
    services.change_webhook(webhook=disabled, actor=None, is_enabled=False)
    assert [row.name for row in listed(WEBHOOKS, **parameters)] == names
    assert [row.pk for row in listed(WEBHOOKS, q=str(well.uuid))] == [well.pk]
    assert [row.pk for row in listed(WEBHOOKS, q=str(well.pk))] == [well.pk]


def test_a_webhook_s_page_says_how_it_does_and_shows_its_newest_deliveries() -> None:
    webhook = make_webhook(kinds=["job.moved"], subject_kind="job", subject_id=7)
    Webhook.objects.filter(pk=webhook.pk).update(is_enabled=False, disabled_because="It answered 410: it is gone.")
    delivery = make_delivery(webhook, 42)
    client = browser("monitor")
    with within_budget("admin: a webhook"):
        shown = text_of(client.get(page_of(webhook)))
    for words in ("It answered 410", "job.moved", "job 7", webhook.url, page_of(delivery), "disabled", "FAILED"):
        assert words in shown


def test_a_delivery_s_page_shows_what_is_sent_and_what_came_of_each_call() -> None:
    delivery = make_delivery(make_webhook(), 42, body='{"a": "<script>"}')
    delivery.tries = [*delivery.tries, {"at": "2026-01-02T03:05:05+00:00", "error": "The connection was refused."}]
    delivery.save()
    client = browser("monitor")
    with within_budget("admin: a delivery"):
        shown = text_of(client.get(page_of(delivery)))
    for words in ("500", "12 ms", "The connection was refused.", "2026-01-02T03:05:05+00:00", "&lt;script&gt;"):
        assert words in shown
    assert "<script>&quot;" not in shown


def test_deliveries_are_narrowed_by_webhook_and_status() -> None:
    webhook, other = make_webhook(), make_webhook()
    for position in (1, 2):
        make_delivery(webhook, position)
    waiting = make_delivery(webhook, 3, DeliveryStatus.PENDING)
    make_delivery(other, 1)
    assert [row.position for row in listed(DELIVERIES, webhook=webhook.pk)] == [3, 2, 1]
    assert listed(DELIVERIES, webhook=webhook.pk, status="PENDING") == [waiting]
    assert listed(DELIVERIES, webhook="x") == []
    assert listed(DELIVERIES, status="LOST") == []
    assert listed(DELIVERIES, q=f"{webhook.pk} 3") == [waiting]
    assert listed(DELIVERIES, q="3") == []
    client = browser("admin")
    with within_budget("admin: deliveries"):
        client.get(DELIVERIES)


# --- Buttons -------------------------------------------------------------------------------------


def test_it_is_disabled_and_enabled() -> None:
    webhook = make_webhook()
    assert press(webhook, "enable").status_code == 403
    assert press(webhook, "disable").status_code == 302
    assert not Webhook.objects.get().is_enabled
    assert press(webhook, "disable").status_code == 403
    assert press(webhook, "redeliver", {"first": 1, "last": 1}).status_code == 403
    assert press(webhook, "enable").status_code == 302
    assert Webhook.objects.get().is_enabled
    told = Event.objects.filter(kind="webhook.changed").values_list("actor__username", flat=True)
    assert list(told) == ["browser-admin"] * 2


def test_a_range_is_sent_again() -> None:
    webhook = make_webhook()
    for position in (1, 2, 3):
        make_delivery(webhook, position)
    assert press(webhook, "redeliver", {"first": 2, "last": 9}).status_code == 302
    waiting = webhook.deliveries.filter(status=DeliveryStatus.PENDING).order_by("position")
    assert [each.position for each in waiting] == [2, 3]


@pytest.mark.parametrize("wish", [{}, {"first": 1}, {"first": 3, "last": 2}, {"first": 0, "last": 1}, {"first": "x"}])
def test_what_is_no_range_is_refused_on_its_page(wish: Any) -> None:
    webhook = make_webhook()
    make_delivery(webhook, 1)
    answer = press(webhook, "redeliver", wish)
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert not webhook.deliveries.filter(status=DeliveryStatus.PENDING).exists()


def test_one_is_sent_again() -> None:
    delivery = make_delivery(make_webhook(), 1)
    assert press(delivery, "redeliver").status_code == 302
    delivery.refresh_from_db()
    assert delivery.status == DeliveryStatus.PENDING
    services.change_webhook(webhook=delivery.webhook, actor=None, is_enabled=False)
    assert press(delivery, "redeliver").status_code == 403


def test_it_is_deleted() -> None:
    webhook = make_webhook()
    make_delivery(webhook, 1)
    assert press(webhook, "remove").status_code == 302
    assert not Webhook.objects.exists()
    assert Event.objects.filter(kind="webhook.deleted", subject_id=webhook.pk).count() == 1
