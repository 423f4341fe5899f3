"""What accounts refuse."""

from __future__ import annotations

from controlplane.core.errors import Conflict, ControlPlaneError, Forbidden, InvalidRequest, NotFound, Unauthorized


class UserExists(Conflict):
    """A user of that name exists already."""

    code = "USER_EXISTS"


class UserNotFound(InvalidRequest):
    """There is no user of that name."""

    code = "USER_NOT_FOUND"


class EmailTaken(InvalidRequest):
    """Another user has this e-mail address."""

    code = "EMAIL_TAKEN"


class CustomerExists(Conflict):
    """A customer of that name exists already."""

    code = "CUSTOMER_EXISTS"


class NoSuchUser(NotFound):
    """There is no such user, or it is not yours."""

    code = "USER_NOT_FOUND"


class CustomerNotFound(NotFound):
    """There is no such customer, or it is not yours."""

    code = "CUSTOMER_NOT_FOUND"


class TokenNotFound(NotFound):
    """There is no such token, or it is not yours."""

    code = "TOKEN_NOT_FOUND"


class SavedViewNotFound(NotFound):
    """There is no such view, or it is not yours."""

    code = "SAVED_VIEW_NOT_FOUND"


class WrongCredentials(InvalidRequest):
    """The user name or the password is wrong."""

    code = "WRONG_CREDENTIALS"


class TooManyAttempts(ControlPlaneError):
    """Too many failed sign-ins. Ask again later."""

    code = "TOO_MANY_ATTEMPTS"
    http_status = 429
    retry_after_seconds = 60


class UserState(Conflict):
    """The user's present state does not allow this."""

    code = "USER_STATE"


class TooOften(TooManyAttempts):
    """This was done too often lately. Ask again later."""

    code = "TOO_OFTEN"


class SignUpRefused(Forbidden):
    """The registration token is not accepted."""

    code = "SIGN_UP_REFUSED"


class AccountExists(Conflict):
    """The e-mail address is taken."""

    code = "ACCOUNT_EXISTS"


class NotVerified(Forbidden):
    """The e-mail address is not verified."""

    code = "NOT_VERIFIED"


class AlreadyVerified(Conflict):
    """The e-mail address is verified already."""

    code = "ALREADY_VERIFIED"


class InvalidVerification(Unauthorized):
    """The verification token is not valid."""

    code = "INVALID_VERIFICATION"


class InvalidReset(Forbidden):
    """The reset token is not valid."""

    code = "INVALID_RESET"


class WrongPassword(Forbidden):
    """The old password is wrong."""

    code = "WRONG_PASSWORD"


class SessionNeeded(Forbidden):
    """This takes a session: a token may not do it."""

    code = "SESSION_NEEDED"


class LastAdmin(Forbidden):
    """The last enabled admin cannot be taken away."""

    code = "LAST_ADMIN"


class InvalidCredential(Forbidden):
    """The credential is not valid, or does not let anybody in."""

    code = "INVALID_CREDENTIAL"


class InvitationRevoked(Conflict):
    """The invitation is revoked already."""

    code = "INVITATION_REVOKED"


class LimitRequestNotFound(NotFound):
    """There is no such request, or it is not yours."""

    code = "LIMIT_REQUEST_NOT_FOUND"


class LimitRequestPending(Conflict):
    """A request of yours is waiting already."""

    code = "LIMIT_REQUEST_PENDING"


class LimitRequestDecided(Conflict):
    """The request was decided already."""

    code = "LIMIT_REQUEST_DECIDED"


class WebhookNotFound(NotFound):
    """There is no such webhook, or it is not yours."""

    code = "WEBHOOK_NOT_FOUND"


class DeliveryNotFound(NotFound):
    """There is no such delivery of this webhook."""

    code = "DELIVERY_NOT_FOUND"


class TooManyWebhooks(InvalidRequest):
    """There are as many webhooks as there may be."""

    code = "TOO_MANY_WEBHOOKS"


class WebhookDisabled(Conflict):
    """The webhook is disabled: enable it first."""

    code = "WEBHOOK_DISABLED"


class WebhookChanged(Conflict):
    """The webhook's secrets were changed meanwhile; try again."""

    code = "WEBHOOK_CHANGED"


class WrongCode(InvalidRequest):
    """The code is wrong, or was used already."""

    code = "WRONG_CODE"


class NoTotp(Conflict):
    """They have no device for one-time codes."""

    code = "NO_TOTP"
