"""Who pays, and what Stripe told us, in the admin."""

from billing.admin import payments

__all__ = ["payments"]
