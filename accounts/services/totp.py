"""One-time codes of staff (RFC 6238): a device is confirmed by its first code, and reset by an admin.

django-otp keeps the devices, takes no code twice, and makes who is wrong wait, each time twice as long. Its middleware
is left out: it would put a method in the place of our column `is_verified`.
"""

from __future__ import annotations

import math
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts import queries
from accounts.errors import NoTotp, TooOften, WrongCode
from accounts.models import User
from accounts.services.told import record_of

_NAME: Final = "authenticator"


def device_of(user: User) -> TOTPDevice:
    """The device of `user`; one that is not confirmed yet, with a new secret, if there was none."""
    found = TOTPDevice.objects.filter(user=user).first()
    if found is not None:
        return found
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        return TOTPDevice.objects.get_or_create(user=user, defaults={"name": _NAME, "confirmed": False})[0]


def prove(session: SessionBase, *, user: User, code: str) -> None:
    """Let `session` of `user` into the admin by a code of their device, which its first code confirms.

    Raises WrongCode, also for a code that was used; TooOften after wrong ones; NoTotp.
    """
    with transaction.atomic():
        device = TOTPDevice.objects.select_for_update().filter(user=user).first()
        if device is None:
            raise NoTotp
        is_allowed, why = device.verify_is_allowed()
        is_right = is_allowed and device.verify_token(code)
        if is_right and not device.confirmed:
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            record_of("user.totp-enrolled", user, user)
    # Behind the transaction, which keeps the count of failures.
    if not is_allowed:
        error = TooOften("Too many wrong codes. Wait a little before the next.")
        error.retry_after_seconds = max(1, math.ceil((why["locked_until"] - timezone.now()).total_seconds()))
        raise error
    if not is_right:
        raise WrongCode(field="code")
    session.cycle_key()
    session[queries.TOTP_KEY] = device.pk


def reset_totp(*, user: User, actor: User | None) -> None:
    """Take the device of `user` away: its sessions are out of the admin, and they enrol another. Raises NoTotp."""
    with transaction.atomic():
        if not TOTPDevice.objects.filter(user=user).delete()[0]:
            raise NoTotp
        record_of("user.totp-reset", user, actor)
