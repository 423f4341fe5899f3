"""The states of bills, and the moves between them."""

from __future__ import annotations

from typing import Final

from controlplane.core.machine import Machine

DRAFT: Final = "draft"
OPEN: Final = "open"
PAID: Final = "paid"
VOID: Final = "void"
UNCOLLECTIBLE: Final = "uncollectible"

# Stripe's words for the same: https://docs.stripe.com/invoicing/overview#invoice-statuses
BILL: Final = Machine(
    {
        DRAFT: frozenset({OPEN}),
        OPEN: frozenset({PAID, VOID, UNCOLLECTIBLE}),
        UNCOLLECTIBLE: frozenset({PAID, VOID}),
        PAID: frozenset(),
        VOID: frozenset(),
    }
)
BILL_STATES: Final = tuple(BILL.moves)
SETTLED: Final = (PAID, VOID, UNCOLLECTIBLE)
