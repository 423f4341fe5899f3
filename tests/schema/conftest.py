"""What every test of the schema has: a Stripe of the tests' own, with the payment details of whoever owns the rest."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests import stripe_server
from tests.stripe_server import StripeServer


@pytest.fixture(autouse=True)
def stripe(monkeypatch: pytest.MonkeyPatch) -> StripeServer:
    monkeypatch.setattr(settings, "ACCOUNT_URL", "https://ours.example")
    return stripe_server.stand_in(monkeypatch)
