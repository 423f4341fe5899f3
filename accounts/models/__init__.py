"""Who may do what, for whom, and what happened."""

from accounts.models.event import Event, Follower
from accounts.models.idempotency import IdempotencyKey
from accounts.models.people import ApiToken, Customer, Role, User, UserManager

__all__ = ["ApiToken", "Customer", "Event", "Follower", "IdempotencyKey", "Role", "User", "UserManager"]
