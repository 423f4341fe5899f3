"""What can go wrong with money."""

from __future__ import annotations

from controlplane.core.errors import Conflict, ControlPlaneError, InvalidRequest, NotFound, Unavailable


class UsageNotFound(NotFound):
    """There is no such record."""

    code = "USAGE_NOT_FOUND"


class BillNotFound(NotFound):
    """There is no such bill."""

    code = "BILL_NOT_FOUND"


class BudgetNotFound(NotFound):
    """There is no such budget."""

    code = "BUDGET_NOT_FOUND"


class BudgetExists(Conflict):
    """There is a budget of that already: change it, or lift it."""

    code = "BUDGET_EXISTS"


class MonthOpen(Conflict):
    """The month has not ended, or not all of it has been metered yet."""

    code = "MONTH_OPEN"


class BillState(Conflict):
    """The state of the bill does not allow it."""

    code = "BILL_STATE"


class PaymentDetailsNotFound(NotFound):
    """You have no payment details."""

    code = "PAYMENT_DETAILS_NOT_FOUND"


class PaymentDetailsExist(Conflict):
    """There are payment details already."""

    code = "PAYMENT_DETAILS_EXIST"


class NoPayer(Conflict):
    """You belong to no customer, so there is nobody to pay."""

    code = "NO_PAYER"


class StripeRefused(ControlPlaneError):
    """Stripe could not process the request."""

    code = "STRIPE_REFUSED"

    def __init__(self, message: str = "", *, reason: str = "", param: str = "") -> None:
        """`reason` is Stripe's code for what is wrong, `param` names what of ours it is about."""
        super().__init__(message)
        self.reason, self.param = reason, param


class StripeUnavailable(Unavailable):
    """Stripe cannot be reached just now; try again soon."""

    code = "STRIPE_UNAVAILABLE"


class StripeNotConfigured(Unavailable):
    """There are no payments here: STRIPE_API_KEY is not set."""

    code = "STRIPE_NOT_CONFIGURED"
    retry_after_seconds = 60


class StripeDiffers(ControlPlaneError):
    """What is at Stripe is not what was sent."""

    code = "STRIPE_DIFFERS"


class EventRefused(InvalidRequest):
    """This is no event that Stripe signed for us."""

    code = "EVENT_REFUSED"


class DifferenceResolved(Conflict):
    """The difference is resolved already."""

    code = "DIFFERENCE_RESOLVED"
