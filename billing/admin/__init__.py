"""Bills, budgets, what was metered, months, who pays, what Stripe told us, and what differs, in the admin."""

from billing.admin import bills, budgets, costs, differences, months, payments, usage

__all__ = ["bills", "budgets", "costs", "differences", "months", "payments", "usage"]
