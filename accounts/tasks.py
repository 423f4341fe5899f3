"""The functions that django-q2 may run for accounts: thin, safe to repeat. The table is settings.TASKS."""

from __future__ import annotations

from accounts.services import mails


def send_verification(user_id: int) -> None:
    """Mail a user the link that verifies their address."""
    mails.send_verification(user_id)


def send_reset(email: str) -> None:
    """Mail whoever has this address the link that sets a new password."""
    mails.send_reset(email)
