"""Mails to users: put together and sent by background tasks, never inside a transaction."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from accounts import queries, states
from accounts.models import LimitChangeRequest, User, Webhook
from accounts.services.passwords import reset_token
from accounts.services.sign_up import verification_token


def send(to: User, subject: str, template: str, **context: Any) -> None:
    """Mail `template`, as text and as HTML. Raises what the mail backend raises; the task is then tried again."""
    texts = [render_to_string(f"mail/{template}.{kind}", context) for kind in ("txt", "html")]
    headers = {"Auto-Submitted": "auto-generated"}
    mail = EmailMultiAlternatives(subject, texts[0], to=[str(to.email)], headers=headers)
    mail.attach_alternative(texts[1], "text/html")
    mail.send()


def send_verification(user_id: int) -> None:
    """Mail the link that verifies the address of a user, if that is still to be done."""
    user = User.objects.filter(pk=user_id, is_active=True, is_verified=False).exclude(email=None).first()
    if user is not None:
        link = _link("verify", token=verification_token(user))
        days = settings.VERIFICATION_TIMEOUT_SECONDS / 86_400
        send(user, "Confirm your e-mail address", "verification", link=link, days=round(days, 1))


def send_reset(email: str) -> None:
    """Mail the link that sets a new password to the enabled user with this address, if there is one."""
    user = queries.find_user_by_email(email)
    if user is not None and user.is_active:
        link = _link("reset", user=str(user.uuid), token=reset_token(user))
        hours = settings.PASSWORD_RESET_TIMEOUT / 3600
        send(user, "Set a new password", "reset", link=link, hours=round(hours, 1))


def send_limit_decision(request_id: int) -> None:
    """Mail a user what staff made of their wish for more instances, unless nobody may read it any more."""
    found = (
        LimitChangeRequest.objects.select_related("user").exclude(status=states.PENDING).filter(pk=request_id).first()
    )
    if found is None or not found.user.is_active or found.user.email is None:
        return
    approved = found.status == states.APPROVED
    subject = f"Your instance limit is {'raised' if approved else 'unchanged'}"
    send(found.user, subject, "limit", approved=approved, request=found, limit=found.user.instance_limit)


def send_webhook_disabled(webhook_id: int) -> None:
    """Tell the owner of a webhook that it was disabled, if it still is and they have an address."""
    rows = Webhook.objects.filter(pk=webhook_id, is_enabled=False, owner__is_active=True).exclude(owner__email=None)
    hook = rows.select_related("owner").first()
    if hook is not None:
        send(hook.owner, "A webhook of yours was disabled", "webhook_disabled", hook=hook)


def _link(page: str, **parameters: str) -> str:
    return f"{settings.ACCOUNT_URL}/account/{page}/?{urlencode(parameters)}"
