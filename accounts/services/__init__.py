"""Every write of accounts."""

from accounts.services.closing import close_account
from accounts.services.feedback import give_feedback, post_feedback, post_left_behind
from accounts.services.google import register_with_google, user_of_google
from accounts.services.invitations import NewInvitation, create_invitation, facts_of_invitation, revoke_invitation
from accounts.services.limits import approve_limit, reject_limit, request_limit
from accounts.services.parked import dismiss_parked, try_again
from accounts.services.passwords import ask_for_reset, change_password, confirm_reset
from accounts.services.people import (
    Password,
    UserChanges,
    create_customer,
    create_user,
    disable_user,
    enable_user,
    ensure_customer,
    facts_of_user,
    make_ready,
    set_role,
    update_user,
)
from accounts.services.positions import number_events
from accounts.services.rates import spend
from accounts.services.redelivery import redeliver
from accounts.services.saved_views import SHARING, delete_view, save_view
from accounts.services.sign_up import resend_verification, sign_up, verify
from accounts.services.tokens import (
    LONGEST_IMPORTED,
    NewToken,
    archive_token,
    check_importable,
    create_token,
    facts_of_token,
    import_token,
    issue_token,
    note_use,
    regenerate_token,
    revoke_tokens,
)
from accounts.services.totp import device_of, prove, reset_totp
from accounts.services.webhooks import (
    Sealed,
    WebhookChanges,
    authorization_of,
    change_webhook,
    delete_webhook,
    facts_of_webhook,
    make_webhook,
    rotate_secret,
    seal,
)

__all__ = [
    "LONGEST_IMPORTED",
    "SHARING",
    "NewInvitation",
    "NewToken",
    "Password",
    "Sealed",
    "UserChanges",
    "WebhookChanges",
    "approve_limit",
    "archive_token",
    "ask_for_reset",
    "authorization_of",
    "change_password",
    "change_webhook",
    "check_importable",
    "close_account",
    "confirm_reset",
    "create_customer",
    "create_invitation",
    "create_token",
    "create_user",
    "delete_view",
    "delete_webhook",
    "device_of",
    "disable_user",
    "dismiss_parked",
    "enable_user",
    "ensure_customer",
    "facts_of_invitation",
    "facts_of_token",
    "facts_of_user",
    "facts_of_webhook",
    "give_feedback",
    "import_token",
    "issue_token",
    "make_ready",
    "make_webhook",
    "note_use",
    "number_events",
    "post_feedback",
    "post_left_behind",
    "prove",
    "redeliver",
    "regenerate_token",
    "register_with_google",
    "reject_limit",
    "request_limit",
    "resend_verification",
    "reset_totp",
    "revoke_invitation",
    "revoke_tokens",
    "rotate_secret",
    "save_view",
    "seal",
    "set_role",
    "sign_up",
    "spend",
    "try_again",
    "update_user",
    "user_of_google",
    "verify",
]
