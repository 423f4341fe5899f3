"""Webhooks made as callers make them, what is refused, and what was sent."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts import services
from accounts.models import DeliveryStatus, User, Webhook, WebhookDelivery
from tests.factories import make_customer_user

URL = "https://example.com/hook"
# Addresses that nobody may name, with why.
REFUSED_URLS = {
    "not https": "http://example.com/hook",
    "another scheme": "ftp://example.com/hook",
    "a file": "file:///etc/passwd",
    "no address": "example.com",
    "nothing": "",
    "loopback": "https://127.0.0.1/hook",
    "loopback of IPv6": "https://[::1]/hook",
    "loopback as a number": "https://2130706433/hook",
    "a private network": "https://10.0.0.1/hook",
    "a cloud's metadata": "https://169.254.169.254/latest/meta-data/",
    "a password": "https://ada:secret@example.com/hook",
    "a line's end": "https://example.com/\r\nX-Injected: 1",
    "NUL": "https://example.com/\0",
    "a space": "https://example.com/a b",
    "a fragment": "https://example.com/#there",
}
REFUSED_HEADERS = {
    "CR and LF": "Bearer x\r\nX-Injected: 1",
    "LF": "Bearer x\n",
    "NUL": "Bearer \0",
    "beyond Latin-1": "Bearer \u20ac",
    "DEL": "Bearer \x7f",
    "too long": "x" * 4097,
}


def make_webhook(owner: User | None = None, authorization: str | None = None, **more: Any) -> Webhook:
    owner = owner or make_customer_user().user
    sealed = services.seal(authorization)
    return services.make_webhook(owner=owner, actor=owner, sealed=sealed, **{"name": "ci", "url": URL, **more})


def make_delivery(webhook: Webhook, position: int, status: str = DeliveryStatus.FAILED, **more: Any) -> WebhookDelivery:
    """What was sent of a job's event, and given up after a call."""
    tried = {"at": "2026-01-02T03:04:05+00:00", "status": 500, "took_ms": 12, "answer": "no"}
    ended = None if status == DeliveryStatus.PENDING else timezone.now()
    values = {"body": '{"kind": "job.moved"}', "attempts": 1, "tries": [tried], "ended_at": ended, **more}
    return WebhookDelivery.objects.create(
        webhook=webhook, position=position, kind="job.moved", subject_kind="job", subject_id=7, status=status, **values
    )
