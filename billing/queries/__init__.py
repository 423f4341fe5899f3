"""What money's rows are asked for."""

from billing.queries.bills import find_bill, line_of, unbilled_months, visible_bills
from billing.queries.costs import (
    GROUPS,
    MOST_GROUPS,
    Cost,
    Spent,
    billed_rate,
    cluster_cost,
    costs_by,
    job_cost,
    job_type_cost,
    visible_days,
    visible_records,
)
from billing.queries.metrics import CustomerUsage, usage_by_customer
from billing.queries.months import Closing, bills_by_month, next_to_close
from billing.queries.positions import Position, kind_at, months_with, position_of, records_at
from billing.queries.receipts import Receipt, receipt_of
from billing.queries.spend import Spend, months_used, spend_of

__all__ = [
    "GROUPS",
    "MOST_GROUPS",
    "Closing",
    "Cost",
    "CustomerUsage",
    "Position",
    "Receipt",
    "Spend",
    "Spent",
    "billed_rate",
    "bills_by_month",
    "cluster_cost",
    "costs_by",
    "find_bill",
    "job_cost",
    "job_type_cost",
    "kind_at",
    "line_of",
    "months_used",
    "months_with",
    "next_to_close",
    "position_of",
    "receipt_of",
    "records_at",
    "spend_of",
    "unbilled_months",
    "usage_by_customer",
    "visible_bills",
    "visible_days",
    "visible_records",
]
