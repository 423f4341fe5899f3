"""Bills, what was metered, months, who pays, what Stripe told us, and what differs, in the admin."""

from billing.admin import bills, differences, months, payments, usage

__all__ = ["bills", "differences", "months", "payments", "usage"]
