"""Amounts of money: kept as whole billionths of a US dollar, told as decimal numbers. Never floats."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

NANO: Final = 10**9
CENT: Final = 10**7  # billionths
CURRENCY: Final = "USD"
_HOUR_MS: Final = 3_600_000


def usd(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


def nano(amount: Decimal) -> int:
    return int(amount.scaleb(9).to_integral_value(ROUND_HALF_UP))


def text(amount_nano: int) -> str:
    """In dollars, without needless noughts and never with an exponent: `1.5`."""
    return plain(usd(amount_nano))


def plain(amount: Decimal) -> str:
    """A number without needless noughts and never with an exponent."""
    told = f"{amount:f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def cost(per_hour: Decimal | None, ms: int) -> int:
    """Billionths of a dollar that so many milliseconds cost at `per_hour` dollars; without a price, nothing."""
    return nano(per_hour * ms / _HOUR_MS) if per_hour else 0


def cost_between(per_hour: Decimal | None, begun_ms: int, ended_ms: int) -> int:
    """What the time from `begun_ms` to `ended_ms` adds: parts of a run come to exactly what the run does."""
    return cost(per_hour, ended_ms) - cost(per_hour, begun_ms)
