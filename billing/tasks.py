"""The functions that django-q2 may run for billing: thin, safe to repeat. The table is settings.TASKS."""

from __future__ import annotations

from datetime import date

from django.db import transaction

from billing import services
from controlplane.core.enqueue import enqueue


def meter() -> None:
    """Make records of what has ended."""
    services.meter()


def checkpoint() -> None:
    """Make records of what goes on, up to the last full hour."""
    services.checkpoint()


def meter_containers() -> None:
    """Make records of what containers did."""
    services.meter_containers()


def keep_standings() -> None:
    """Say what customers have used of what is free."""
    services.keep_standings()


def send_free_tier_mail(customer_id: int, share: int) -> None:
    """Mail that so much of what is free is used, in percent."""
    services.send_free_tier_mail(customer_id, share)


def count_budgets() -> None:
    """See what is spent of each budget; warn, hold, and let go."""
    services.count_budgets()


def send_budget_mail(budget_id: int, share: int) -> None:
    """Mail that so much of a budget is spent, in percent."""
    services.send_budget_mail(budget_id, share)


def draw_up_drafts() -> None:
    """Have the bills of the months that are open say what is metered of them."""
    services.draw_up_drafts()


def close_months() -> None:
    """Make final bills of every month that has ended and is metered."""
    if not services.close_months():
        with transaction.atomic():
            enqueue("billing.tasks.close_months")


def forget_payers() -> None:
    """Forget what our copies say of who pays and has closed their account."""
    services.forget_payers()


def handle_stripe_event(stripe_id: str) -> None:
    """Handle an event of Stripe."""
    services.handle_event(stripe_id=stripe_id)


def handle_left_stripe_events() -> None:
    """Handle what was left of Stripe's events."""
    services.handle_left_events()


def forget_stripe_events() -> None:
    """Delete events of Stripe past their days."""
    services.forget_events()


def send_bills() -> None:
    """Send final bills to Stripe."""
    services.send_bills()


def decide_meter_events() -> None:
    """Decide what Stripe's meter is sent of days that are over."""
    services.decide_meter_events()


def send_meter_events() -> None:
    """Tell Stripe's meter what was decided."""
    services.send_meter_events()


def compare_bills() -> None:
    """Compare records, days, bills and Stripe: each month by itself."""
    with transaction.atomic():
        for month in services.months_to_compare():
            enqueue("billing.tasks.compare_month", month=f"{month:%Y-%m-%d}")


def compare_month(month: str, after: int = 0) -> None:
    """Compare a month for a slice of time; what is left goes on as a task of its own."""
    last = services.compare(date.fromisoformat(month), after=after)
    if last is not None:
        with transaction.atomic():
            enqueue("billing.tasks.compare_month", month=month, after=last)
