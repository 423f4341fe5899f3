"""What changes money's rows. Everything else calls these."""

from billing.services.bills import close_month, close_months, draw_up_drafts, move_bill
from billing.services.budgets import change_budget, count_budgets, lift_budget, send_budget_mail, set_budget
from billing.services.ledger import correct
from billing.services.metering import checkpoint, meter

__all__ = [
    "change_budget",
    "checkpoint",
    "close_month",
    "close_months",
    "correct",
    "count_budgets",
    "draw_up_drafts",
    "lift_budget",
    "meter",
    "move_bill",
    "send_budget_mail",
    "set_budget",
]
