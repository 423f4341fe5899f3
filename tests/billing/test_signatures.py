"""Signatures of Stripe's webhooks: the SDK's own, and ones that were recorded and stay what they are."""

from __future__ import annotations

import time

import pytest
import stripe

from billing.errors import EventRefused
from billing.stripe import signatures
from tests.stripe_server import SECRET, signed

pytestmark = pytest.mark.runs_once("sqlite", "no database")
BODY = b'{"id": "evt_1", "object": "event", "type": "customer.updated", "created": 1790000000, "n": "\xc3\xa9"}'
# HMAC-SHA256 with the secret "whsec_recorded" of "1790000000." and BODY, by openssl.
RECORDED = "t=1790000000,v1=d6f9d081bfe389f79fdc93d75d48d9df27fbe784f97838e87c84ddde19a4e113"


def test_the_sdks_own_signature_is_good() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET)
    assert signatures.read_event(BODY, header, [SECRET])["id"] == "evt_1"
    assert header == signed(BODY, at=int(header[2:].split(",")[0]))


def test_a_recorded_one_is_good_while_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_790_000_000 + 300)
    assert signatures.read_event(BODY, RECORDED, ["whsec_recorded"])["type"] == "customer.updated"
    monkeypatch.setattr(time, "time", lambda: 1_790_000_000 + 301)
    with pytest.raises(EventRefused):
        signatures.read_event(BODY, RECORDED, ["whsec_recorded"])
