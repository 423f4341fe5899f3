"""Users and what they ask for, tokens, invitations, customers, the event log and webhooks in the admin."""

from accounts.admin import events, feedback, invitations, limit_requests, parked, people, tokens, webhooks

__all__ = ["events", "feedback", "invitations", "limit_requests", "parked", "people", "tokens", "webhooks"]
