"""Closing an account for good."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import queries
from accounts.errors import LastAdmin
from accounts.models import Role, User, Webhook
from accounts.services.limits import withdraw_requests
from accounts.services.tokens import revoke_tokens
from accounts.services.told import record_of
from accounts.services.totp import reset_totp
from accounts.services.webhooks import delete_webhook


def close_account(user: User) -> None:
    """Shut `user` out and forget who they were; rows that refer to them stay. Raises LastAdmin.

    Tokens are revoked, webhooks deleted, and sessions end with the user. The address is free again. The event
    `user.closing` is what others act upon.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.role == Role.ADMIN:
            others = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).exclude(pk=locked.pk)
            if not list(others.order_by("pk").values_list("pk", flat=True)):
                raise LastAdmin
        record_of("user.closing", locked, locked)
        withdraw_requests(locked)
        if locked.is_staff and queries.has_totp(locked):
            reset_totp(user=locked, actor=locked)
        revoke_tokens(user=locked, actor=locked)
        for webhook in Webhook.objects.filter(owner=locked).order_by("pk"):
            delete_webhook(webhook=webhook, actor=locked)
        locked.username, locked.email, locked.google_subject = f"closed-{locked.uuid}", None, None
        locked.password = make_password(None)
        locked.is_active, locked.is_verified, locked.anonymised_at = False, False, timezone.now()
        locked.save()
