"""What changes money's rows. Everything else calls these."""

from billing.services.bills import begin_closing, close_month, close_months, draw_up_bill, draw_up_drafts, move_bill
from billing.services.budgets import change_budget, count_budgets, lift_budget, send_budget_mail, set_budget
from billing.services.budgets import facts_of as facts_of_budget
from billing.services.comparing import compare, months_to_compare
from billing.services.containers import meter_containers
from billing.services.differences import resolve_difference
from billing.services.free_tier import keep_standings, send_free_tier_mail
from billing.services.leaving import forget_payers
from billing.services.ledger import correct
from billing.services.meter_events import decide_meter_events, send_meter_events
from billing.services.metering import checkpoint, meter
from billing.services.payments import (
    make_payment_details,
    own_payment_details,
    payment_details_of,
    portal_link,
    set_payment_details,
)
from billing.services.sending import send_bills
from billing.services.stripe_events import forget_events, handle_event, handle_left_events, take_event

__all__ = [
    "begin_closing",
    "change_budget",
    "checkpoint",
    "close_month",
    "close_months",
    "compare",
    "correct",
    "count_budgets",
    "decide_meter_events",
    "draw_up_bill",
    "draw_up_drafts",
    "facts_of_budget",
    "forget_events",
    "forget_payers",
    "handle_event",
    "handle_left_events",
    "keep_standings",
    "lift_budget",
    "make_payment_details",
    "meter",
    "meter_containers",
    "months_to_compare",
    "move_bill",
    "own_payment_details",
    "payment_details_of",
    "portal_link",
    "resolve_difference",
    "send_bills",
    "send_budget_mail",
    "send_free_tier_mail",
    "send_meter_events",
    "set_budget",
    "set_payment_details",
    "take_event",
]
