"""The states of what people ask for and of deliveries, and the moves between them. Plain Python: no Django here."""

from __future__ import annotations

from typing import Final

from controlplane.core.machine import Machine

PENDING: Final = "PENDING"
APPROVED: Final = "APPROVED"
REJECTED: Final = "REJECTED"

# Who has decided has decided.
LIMIT_REQUEST: Final = Machine({PENDING: frozenset({APPROVED, REJECTED}), APPROVED: frozenset(), REJECTED: frozenset()})
DELIVERED: Final = "DELIVERED"
FAILED: Final = "FAILED"

# What has ended is PENDING again when somebody wants it sent once more.
DELIVERY: Final = Machine(
    {
        PENDING: frozenset({DELIVERED, FAILED}),
        DELIVERED: frozenset({PENDING}),
        FAILED: frozenset({PENDING}),
    }
)
