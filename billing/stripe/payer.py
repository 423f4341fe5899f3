"""Who pays, in Stripe's words. Plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSING: Final = "resource_missing"  # Stripe's code for what is not there
DUPLICATE: Final = "duplicate_meter_event"  # ours for a meter event whose identifier it has had already
ADDRESS: Final = ("line1", "line2", "city", "state", "postal_code", "country")


@dataclass(frozen=True, slots=True)
class Payer:
    """What a customer at Stripe says of whoever pays; null: it says nothing."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    tax_id: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
