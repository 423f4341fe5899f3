"""Who may do what, for whom, and what happened."""

from accounts.models.event import Event, Follower
from accounts.models.idempotency import IdempotencyKey
from accounts.models.people import ApiToken, Customer, Feature, Role, User, UserManager
from accounts.models.rate import Rate

__all__ = [
    "ApiToken",
    "Customer",
    "Event",
    "Feature",
    "Follower",
    "IdempotencyKey",
    "Rate",
    "Role",
    "User",
    "UserManager",
]
