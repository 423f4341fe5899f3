"""What was used, what it costs, who is billed."""

from billing.models.bill import Bill, BillLine, BillStatus, LineKind
from billing.models.budget import Budget, Period
from billing.models.usage import ClosedMonth, MeteredContainer, UsageDay, UsageKind, UsageRecord

__all__ = [
    "Bill",
    "BillLine",
    "BillStatus",
    "Budget",
    "ClosedMonth",
    "LineKind",
    "MeteredContainer",
    "Period",
    "UsageDay",
    "UsageKind",
    "UsageRecord",
]
