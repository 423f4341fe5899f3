"""The functions that django-q2 may run for billing: thin, safe to repeat. The table is settings.TASKS."""

from __future__ import annotations

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


def handle_stripe_event(stripe_id: str) -> None:
    """Handle an event of Stripe."""
    services.handle_event(stripe_id=stripe_id)


def handle_left_stripe_events() -> None:
    """Handle what was left of Stripe's events."""
    services.handle_left_events()


def forget_stripe_events() -> None:
    """Delete events of Stripe past their days."""
    services.forget_events()
