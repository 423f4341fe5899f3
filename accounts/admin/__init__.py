"""Users, tokens, customers and the event log in the admin."""

from accounts.admin import events, people, tokens

__all__ = ["events", "people", "tokens"]
