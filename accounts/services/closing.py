"""Closing an account for good."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import addresses, queries
from accounts.errors import LastAdmin
from accounts.models import Event, Invitation, Role, User, Webhook
from accounts.services.invitations import revoke_invitation
from accounts.services.limits import withdraw_requests
from accounts.services.tokens import revoke_tokens
from accounts.services.told import record_of
from accounts.services.totp import reset_totp
from accounts.services.webhooks import delete_webhook


def close_account(user: User) -> None:
    """Shut `user` out and forget who they were; rows that refer to them stay. Raises LastAdmin.

    Tokens are revoked, webhooks deleted, and sessions end with the user. The address is free again, and the log has
    it no more. The event `user.closing` is what others act upon.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.role == Role.ADMIN:
            others = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).exclude(pk=locked.pk)
            if not list(others.order_by("pk").values_list("pk", flat=True)):
                raise LastAdmin
        # Who they were is forgotten: the log names what is, and not what it was.
        forgotten = {"fields": ["username", "email"], "enabled": False}
        record_of("user.closing", locked, locked, {"enabled": locked.is_active}, forgotten)
        withdraw_requests(locked)
        if locked.is_staff and queries.has_totp(locked):
            reset_totp(user=locked, actor=locked)
        revoke_tokens(user=locked, actor=locked)
        for webhook in Webhook.objects.filter(owner=locked).order_by("pk"):
            delete_webhook(webhook=webhook, actor=locked)
        _forget_names(locked)
        locked.username, locked.email, locked.google_subject = _name_of_closed(locked), None, None
        locked.password = make_password(None)
        locked.is_active, locked.is_verified, locked.anonymised_at = False, False, timezone.now()
        locked.save()


def _name_of_closed(user: User) -> str:
    return f"closed-{user.uuid}"


def _forget_names(user: User) -> None:
    """Take the name and the addresses of `user` out of the log and of invitations. Caller holds the transaction.

    The one case in which what the log says is changed: who somebody was is for them to have forgotten.
    """
    of_user = Event.objects.filter(subject_kind="user", subject_id=user.pk)
    of_user.filter(kind="user.email-changed").update(before={"email": None}, after={"email": None})
    for event in of_user.filter(kind="user.created"):
        event.after = {**(event.after or {}), "username": _name_of_closed(user)}
        event.save(update_fields=["after"])
    if user.email is None:
        return
    for invitation in Invitation.objects.select_for_update().filter(email=addresses.normalised(user.email)):
        if invitation.revoked_at is None:  # without its address it would be for everybody
            revoke_invitation(invitation=invitation, actor=user)
        Invitation.objects.filter(pk=invitation.pk).update(email=None)
        for event in Event.objects.filter(subject_kind="invitation", subject_id=invitation.pk, kind="invitation.made"):
            event.after = {**(event.after or {}), "email": None}
            event.save(update_fields=["after"])
