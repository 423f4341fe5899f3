"""Bills, what was metered, months, who pays, and what Stripe told us, in the admin."""

from billing.admin import bills, months, payments, usage

__all__ = ["bills", "months", "payments", "usage"]
