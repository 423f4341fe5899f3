"""Every write of accounts."""

from accounts.services.closing import close_account
from accounts.services.google import register_with_google, user_of_google
from accounts.services.passwords import ask_for_reset, change_password, confirm_reset
from accounts.services.people import (
    Password,
    UserChanges,
    create_customer,
    create_user,
    disable_user,
    enable_user,
    ensure_customer,
    make_ready,
    set_role,
    update_user,
)
from accounts.services.positions import number_events
from accounts.services.rates import spend
from accounts.services.sign_up import resend_verification, sign_up, verify
from accounts.services.tokens import (
    LONGEST_IMPORTED,
    NewToken,
    archive_token,
    create_token,
    import_token,
    issue_token,
    note_use,
    regenerate_token,
    revoke_tokens,
)

__all__ = [
    "LONGEST_IMPORTED",
    "NewToken",
    "Password",
    "UserChanges",
    "archive_token",
    "ask_for_reset",
    "change_password",
    "close_account",
    "confirm_reset",
    "create_customer",
    "create_token",
    "create_user",
    "disable_user",
    "enable_user",
    "ensure_customer",
    "import_token",
    "issue_token",
    "make_ready",
    "note_use",
    "number_events",
    "regenerate_token",
    "register_with_google",
    "resend_verification",
    "revoke_tokens",
    "set_role",
    "sign_up",
    "spend",
    "update_user",
    "user_of_google",
    "verify",
]
