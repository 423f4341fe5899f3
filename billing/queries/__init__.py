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

__all__ = [
    "GROUPS",
    "MOST_GROUPS",
    "Cost",
    "CustomerUsage",
    "Spent",
    "billed_rate",
    "cluster_cost",
    "costs_by",
    "find_bill",
    "job_cost",
    "job_type_cost",
    "line_of",
    "unbilled_months",
    "usage_by_customer",
    "visible_bills",
    "visible_days",
    "visible_records",
]
