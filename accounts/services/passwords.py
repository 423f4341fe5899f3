"""Passwords that their users set anew: by a mailed link, or by the old one."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction

from accounts import addresses
from accounts.errors import InvalidReset, NoSuchUser
from accounts.models import User
from accounts.services.people import make_ready
from accounts.services.rates import spend
from accounts.services.told import record_of
from controlplane.core.enqueue import enqueue


def ask_for_reset(email: str) -> None:
    """Have a link mailed to whoever has this address: five times an hour. Raises TooOften.

    The mail's task looks the user up, so that neither the answer nor its timing tells whether there is one.
    """
    address = addresses.normalised(email)
    spend("reset mail", address, 5, 3600)
    with transaction.atomic():
        enqueue("accounts.tasks.send_reset", email=address)


def reset_token(user: User) -> str:
    """What the link in the mail carries: bound to the present password and the last sign-in, so used once."""
    token: str = default_token_generator.make_token(user)
    return token


def confirm_reset(*, user_uuid: UUID, token: str, password: str) -> User:
    """Set the password of whom a reset token belongs to; all their sessions end, and their address is verified.

    Raises NoSuchUser, InvalidReset, InvalidRequest.
    """
    user = User.objects.filter(uuid=user_uuid).first()
    if user is None:
        raise NoSuchUser("There is no such user.")
    if not user.is_active or not default_token_generator.check_token(user, token):
        raise InvalidReset
    ready = make_ready(password, username=user.username, email=user.email)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if not locked.is_active or not default_token_generator.check_token(locked, token):
            raise InvalidReset
        locked.password, locked.is_verified = ready.encoded, True
        locked.save(update_fields=["password", "is_verified"])
        record_of("user.password-changed", locked, locked)
    return locked


def change_password(*, user: User, password: str) -> User:
    """Set another password of `user`, who has proved the old one; other sessions end. Raises InvalidRequest."""
    ready = make_ready(password, username=user.username, email=user.email)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        locked.password = ready.encoded
        locked.save(update_fields=["password"])
        record_of("user.password-changed", locked, user)
    return locked
