"""Users and what they ask for, tokens, invitations, customers and the event log in the admin."""

from accounts.admin import events, feedback, invitations, limit_requests, people, tokens

__all__ = ["events", "feedback", "invitations", "limit_requests", "people", "tokens"]
