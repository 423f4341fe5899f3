"""What tests of payments begin with."""

from __future__ import annotations

import pytest

from tests import stripe_server
from tests.factories import Person, make_customer_user
from tests.stripe_server import StripeServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> StripeServer:
    """Stripe, with nothing in it."""
    return stripe_server.stand_in(monkeypatch)


@pytest.fixture
def ada(db: None) -> Person:
    return make_customer_user("ada", "acme")
