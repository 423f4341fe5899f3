"""How long most of some executions took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal


def seconds_of(taken: timedelta) -> Decimal:
    """Two clocks may disagree by a little: nothing took less than no time."""
    return max(Decimal(0), Decimal(taken // timedelta(microseconds=1)) / 10**6)


def of_ten(ordered: Sequence[Decimal], tenths: int) -> Decimal:
    """The least that so many tenths of them do not exceed."""
    return ordered[-(-len(ordered) * tenths // 10) - 1]
