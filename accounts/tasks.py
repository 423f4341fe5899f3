"""The functions that django-q2 may run for accounts: thin, safe to repeat. The table is settings.TASKS."""

from __future__ import annotations

from typing import Final

from accounts import delivering
from accounts.services import feedback, mails
from controlplane.core.resident import is_stopping, touch

WEBHOOKS_BEAT: Final = "webhooks.beat"


def run_webhooks() -> None:
    """Send webhooks for a term."""
    delivering.run(is_stopping, lambda: touch(WEBHOOKS_BEAT), delivering.sender())


def send_verification(user_id: int) -> None:
    """Mail a user the link that verifies their address."""
    mails.send_verification(user_id)


def send_webhook_disabled(webhook_id: int) -> None:
    """Mail the owner of a webhook that it is called no more."""
    mails.send_webhook_disabled(webhook_id)


def send_reset(email: str) -> None:
    """Mail whoever has this address the link that sets a new password."""
    mails.send_reset(email)


def send_limit_decision(request_id: int) -> None:
    """Mail a user what staff made of their wish for more instances."""
    mails.send_limit_decision(request_id)


def post_feedback(feedback_id: int) -> None:
    """Post what somebody said to the team's channel."""
    feedback.post_feedback(feedback_id)


def post_left_behind() -> None:
    """Post what Slack has not taken yet."""
    feedback.post_left_behind()
