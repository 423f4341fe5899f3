"""The one door to Stripe: every call goes through `Stripe.ask`, which says in our words what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

import stripe

from billing.errors import StripeRefused, StripeUnavailable
from billing.stripe.payer import DUPLICATE, MISSING
from controlplane.core.errors import ControlPlaneError

T = TypeVar("T")
logger = logging.getLogger("controlplane.billing")
# What we speak, whatever the SDK's newest is: change it with the tests and the fake of the tests.
STRIPE_API_VERSION: Final = "2026-10-28.endive"
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
RETRIES: Final = 2  # of a call without an answer, or a 5xx; the SDK gives each POST an idempotency key

# 409: another request with this idempotency key is being worked on.
_LATER: Final = frozenset({409, 429})

_EVENT_EXISTS: Final = "An event already exists with identifier"

# How long its calls take is nobody's business.
stripe.enable_telemetry = False


class Stripe:
    """A Stripe account. For any thread; its sessions are each thread's own."""

    def __init__(self, key: str, base: str = "") -> None:
        self._client = stripe.StripeClient(
            key,
            stripe_version=STRIPE_API_VERSION,
            base_addresses={"api": base, "meter_events": base, "files": base} if base else None,
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        )

    def ask(self, call: Callable[[stripe.StripeClient], T]) -> T:
        """What `call` comes to. Not inside a transaction. Raises StripeRefused, StripeUnavailable.

        What Stripe says of an error may quote our key and people's data, so none of it is passed on.
        """
        try:
            return call(self._client)
        except stripe.StripeError as error:
            translated = _translated(error)
        raise translated


def _translated(error: stripe.StripeError) -> ControlPlaneError:
    status, code = error.http_status, error.code or ""
    if not code and (error.user_message or "").startswith(_EVENT_EXISTS):
        code = DUPLICATE  # which Stripe has no code for
    param = getattr(error, "param", None) or ""
    logger.warning(
        "Stripe failed: %s, status %s, code %s, parameter %s, request %s",
        *(type(error).__name__, status, code or "-", param or "-", error.request_id or "-"),
    )
    if isinstance(error, stripe.APIConnectionError) or status is None or not 400 <= status < 500 or status in _LATER:
        return StripeUnavailable()
    return StripeRefused(reason=code or (MISSING if status == 404 else ""), param=param)


@lru_cache(maxsize=4)
def client_of(key: str, base: str) -> Stripe:
    """The same each time: its connections are kept."""
    return Stripe(key, base)
