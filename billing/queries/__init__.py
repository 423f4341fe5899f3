"""What money's rows are asked for."""

from billing.queries.bills import find_bill, own_bills, standing_of, visible_bills
from billing.queries.budgets import find_budget, reserved_of, scope_of, visible_budgets
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
    recipe_cost,
    visible_days,
    visible_records,
)
from billing.queries.metrics import CustomerUsage, usage_by_customer
from billing.queries.months import Closing, bills_by_month, in_open_months, last_closed, next_to_close
from billing.queries.positions import Position, kind_at, months_with, position_of, records_at
from billing.queries.receipts import Receipt, billed_on, corrections_of, others_of, receipt_of, receipts_of_execution
from billing.queries.records import Mentioned, find_record, mentioned_in, of_jobs, of_sources, shown_records
from billing.queries.spend import Spend, months_used, spend_of

__all__ = [
    "GROUPS",
    "MOST_GROUPS",
    "Closing",
    "Cost",
    "CustomerUsage",
    "Mentioned",
    "Position",
    "Receipt",
    "Spend",
    "Spent",
    "billed_on",
    "billed_rate",
    "bills_by_month",
    "cluster_cost",
    "corrections_of",
    "costs_by",
    "find_bill",
    "find_budget",
    "find_record",
    "in_open_months",
    "job_cost",
    "job_type_cost",
    "kind_at",
    "last_closed",
    "mentioned_in",
    "months_used",
    "months_with",
    "next_to_close",
    "of_jobs",
    "of_sources",
    "others_of",
    "own_bills",
    "position_of",
    "receipt_of",
    "receipts_of_execution",
    "recipe_cost",
    "records_at",
    "reserved_of",
    "scope_of",
    "shown_records",
    "spend_of",
    "standing_of",
    "usage_by_customer",
    "visible_bills",
    "visible_budgets",
    "visible_days",
    "visible_records",
]
