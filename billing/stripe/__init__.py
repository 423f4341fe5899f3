"""Stripe: the only place that knows its SDK. Services call `stripe_account()` and what stands in `customers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from billing.errors import StripeNotConfigured

if TYPE_CHECKING:
    from billing.stripe.client import Stripe


def is_configured() -> bool:
    return bool(settings.STRIPE_API_KEY)


def stripe_account() -> Stripe:
    """Stripe, as the settings name it. Raises StripeNotConfigured."""
    if not is_configured():
        raise StripeNotConfigured
    # The SDK takes a quarter of a second and tens of MiB: only where it is used.
    from billing.stripe.client import client_of

    return client_of(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE)
