"""Fishjam's bills and usage: where we differ on purpose, and how each status is provoked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from accounts.models import Standing
from billing.models import Bill

BILLING: Final = "/api/v1/payments/monthly-billing"
USAGE: Final = "/api/v1/metrics/current-usage"
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "fishjam_list_monthly_billing": {
        f"query {name}: maximum None is {2**53} here": "numbers have an end" for name in ("limit", "offset")
    },
}


def bills(scene: Any) -> Any:
    for month in (2, 3):
        url = "https://invoice.example/1" if month == 2 else ""
        Bill.objects.create(customer=scene.user.customer, month=date(2026, month, 1), amount=250, invoice_url=url)
    answer = scene.token.get(BILLING, {"limit": 5})
    assert answer.json()["count"] == 2
    return answer


def used(scene: Any) -> Any:
    Standing.objects.update_or_create(customer=scene.user.customer, defaults={"used": 90})
    answer = scene.token.get(USAGE)
    assert answer.json()["amount"] == 90
    return answer


Provoke = Callable[[Any], Any]
PROVOCATIONS: Final[dict[tuple[str, int], Provoke]] = {
    ("fishjam_list_monthly_billing", 200): bills,
    ("fishjam_list_monthly_billing", 401): lambda scene: scene.nobody.get(BILLING),
    ("fishjam_list_monthly_billing", 422): lambda scene: scene.token.get(BILLING, {"limit": 0}),
    ("fishjam_get_current_usage", 200): used,
    ("fishjam_get_current_usage", 401): lambda scene: scene.nobody.get(USAGE),
}
