"""Who may do what, for whom, and what happened."""

from accounts.models.event import Event, Follower, ParkedEvent
from accounts.models.feedback import Feedback, FeedbackType
from accounts.models.idempotency import IdempotencyKey
from accounts.models.invitation import Invitation
from accounts.models.limit_request import LimitChangeRequest, LimitRequestStatus
from accounts.models.people import ApiToken, Customer, Feature, Role, TokenScope, User, UserManager
from accounts.models.rate import Rate
from accounts.models.saved_view import SavedView
from accounts.models.standing import Standing
from accounts.models.webhook import DeliveryStatus, Form, Webhook, WebhookDelivery

__all__ = [
    "ApiToken",
    "Customer",
    "DeliveryStatus",
    "Event",
    "Feature",
    "Feedback",
    "FeedbackType",
    "Follower",
    "Form",
    "IdempotencyKey",
    "Invitation",
    "LimitChangeRequest",
    "LimitRequestStatus",
    "ParkedEvent",
    "Rate",
    "Role",
    "SavedView",
    "Standing",
    "TokenScope",
    "User",
    "UserManager",
    "Webhook",
    "WebhookDelivery",
]
