"""What was used, what it costs, and who pays."""

from billing.models.bill import Bill, BillLine, BillStatus, LineKind
from billing.models.budget import Budget, Period
from billing.models.comparison import Difference, DifferenceKind
from billing.models.free_tier import FreeTierMonth
from billing.models.meter import MeterEvent
from billing.models.payments import PaymentDetails, RegistrationAttempt, StripeEvent
from billing.models.usage import ClosedMonth, MeteredContainer, UsageDay, UsageKind, UsageRecord

__all__ = [
    "Bill",
    "BillLine",
    "BillStatus",
    "Budget",
    "ClosedMonth",
    "Difference",
    "DifferenceKind",
    "FreeTierMonth",
    "LineKind",
    "MeterEvent",
    "MeteredContainer",
    "PaymentDetails",
    "Period",
    "RegistrationAttempt",
    "StripeEvent",
    "UsageDay",
    "UsageKind",
    "UsageRecord",
]
