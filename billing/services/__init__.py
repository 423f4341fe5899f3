"""What changes money's rows. Everything else calls these."""

from billing.services.bills import close_month, close_months, draw_up_drafts, move_bill
from billing.services.ledger import correct
from billing.services.metering import checkpoint, meter

__all__ = ["checkpoint", "close_month", "close_months", "correct", "draw_up_drafts", "meter", "move_bill"]
