"""What Stripe signed for us: the bodies of its webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import stripe

from billing.errors import EventRefused

TOLERANCE_SECONDS: Final = 300


def read_event(body: bytes, signature: str, secrets: Iterable[str]) -> dict[str, Any]:
    """The event that `body` is, signed with one of `secrets` a moment ago. Raises EventRefused."""
    if not any(_is_signed(body, signature, secret) for secret in secrets):
        raise EventRefused
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventRefused from error
    if not isinstance(event, dict) or event.get("object") != "event":
        raise EventRefused("This is no snapshot event.")
    return event


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # ValueError: a body that is no UTF-8. TypeError: a signature that is no ASCII, which the SDK cannot compare.
        return False
