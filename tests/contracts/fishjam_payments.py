"""Fishjam's payments: where we differ on purpose, and how each status is provoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

import pytest
from django.test import Client

from accounts.models import User
from billing import services
from tests import stripe_server
from tests.stripe_server import Fault

DETAILS: Final = "/api/v1/payments/details"
BODY: Final[dict[str, dict[str, Any]]] = {
    "address": {"line1": "Street 1", "line2": None, "city": "Berlin", "postal_code": "10115", "country": "DE"},
    "customer": {"name": "Ada", "email": "ada@example.com", "phone": "+49 1", "tax_id": "DE123456789"},
}
_LIMIT: Final = "decision 16: texts without a limit in the contract have ours"
_SAME: Final = "nothing is no name, street or town"
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "fishjam_update_payment_details": {
        **{f"body.address.{name}: maxLength None is 255 here": _LIMIT for name in ("line1", "line2", "city", "state")},
        "body.address.postal_code: maxLength None is 32 here": _LIMIT,
        "body.customer.email: maxLength None is 254 here": _LIMIT,
        "body.customer.tax_id: maxLength None is 64 here": _LIMIT,
        **{f"body.address.{name}: minLength None is 1 here": _SAME for name in ("line1", "city")},
        "body.customer.name: minLength None is 1 here": _SAME,
        "body.address.country: minLength None is 1 here": "its pattern says so, too",
        "body.customer.email: minLength None is 1 here": "nothing is no e-mail address",
    },
}


class Scene(Protocol):
    """What the contract's scene has for us."""

    monkeypatch: pytest.MonkeyPatch
    user: User
    nobody: Client

    @property
    def token(self) -> Client: ...

    @property
    def forged(self) -> Client: ...


def ask(
    scene: Scene, method: str, client: Client | None = None, *, made: bool = True, fault: int | None = None,
    body: Any = BODY,
) -> Any:  # fmt: skip
    """One of the operations, at a Stripe of the tests' where a customer is `made`; its next answer may be a `fault`."""
    server = stripe_server.stand_in(scene.monkeypatch)
    if made:
        services.make_payment_details(user=scene.user)
    server.faults = [] if fault is None else [Fault(fault)]
    data = json.dumps(body) if method == "PUT" else ""
    return (client or scene.token).generic(method, DETAILS, data, content_type="application/json")


def filled(scene: Scene) -> Any:
    ask(scene, "PUT")
    return scene.token.get(DETAILS)


Provoke = Callable[[Any], Any]
PROVOCATIONS: Final[dict[tuple[str, int], Provoke]] = {
    ("fishjam_get_payment_details", 200): filled,
    ("fishjam_get_payment_details", 401): lambda scene: ask(scene, "GET", scene.nobody),
    ("fishjam_get_payment_details", 404): lambda scene: ask(scene, "GET", made=False),
    ("fishjam_get_payment_details", 500): lambda scene: ask(scene, "GET", fault=403),
    ("fishjam_get_payment_details", 503): lambda scene: ask(scene, "GET", fault=429),
    ("fishjam_create_payment_details", 201): lambda scene: ask(scene, "POST", made=False),
    ("fishjam_create_payment_details", 401): lambda scene: ask(scene, "POST", scene.nobody),
    ("fishjam_create_payment_details", 403): lambda scene: ask(scene, "POST", scene.forged),
    ("fishjam_create_payment_details", 409): lambda scene: ask(scene, "POST"),
    ("fishjam_create_payment_details", 500): lambda scene: ask(scene, "POST", made=False, fault=402),
    ("fishjam_create_payment_details", 503): lambda scene: ask(scene, "POST", made=False, fault=500),
    ("fishjam_update_payment_details", 200): lambda scene: ask(scene, "PUT"),
    ("fishjam_update_payment_details", 401): lambda scene: ask(scene, "PUT", scene.nobody),
    ("fishjam_update_payment_details", 403): lambda scene: ask(scene, "PUT", scene.forged),
    ("fishjam_update_payment_details", 404): lambda scene: ask(scene, "PUT", made=False),
    ("fishjam_update_payment_details", 422): lambda scene: ask(scene, "PUT", body={"customer": {}}),
    ("fishjam_update_payment_details", 500): lambda scene: ask(scene, "PUT", fault=402),
    ("fishjam_update_payment_details", 503): lambda scene: ask(scene, "PUT", fault=503),
}
