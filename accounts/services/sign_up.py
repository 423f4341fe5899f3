"""Accounts that people make for themselves: signing up, and showing that the e-mail address is theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction

from accounts import addresses
from accounts.errors import AccountExists, AlreadyVerified, InvalidVerification, SignUpRefused
from accounts.models import Customer, Invitation, Role, User
from accounts.services import invitations
from accounts.services.people import make_ready
from accounts.services.rates import spend
from accounts.services.told import record_of
from controlplane.core.enqueue import enqueue

_SALT: Final = "accounts.verification"
LONGEST_ORIGIN: Final = 64


def sign_up(*, email: str, password: str, registration_token: str) -> User:
    """Make an unverified user, a customer of its own, and the mail with the link that verifies.

    Raises SignUpRefused before anything else, so that nothing is told of who is here; then InvalidRequest and
    AccountExists.
    """
    admission = check_open(registration_token, email)
    address = addresses.readable(email)
    ready = make_ready(password, username=address, email=address)
    user = User(username=address, email=address, role=Role.CUSTOMER, is_verified=False, password=ready.encoded)
    return make_account(user, admission)


@dataclass(frozen=True, slots=True)
class Admission:
    """By what somebody signs up: an invitation that holds for them, if there is one; and what the log says of it."""

    invitation: Invitation | None
    origin: str


def check_open(registration_token: str, email: str) -> Admission:
    """By what whoever has this address may sign up with this token. Raises SignUpRefused.

    Where sign-up is open an invitation holds all the same; the token of one that is there is never an origin, since
    the log keeps no secrets.
    """
    if settings.SIGN_UP == "closed":
        raise SignUpRefused
    invitation = invitations.invitation_of(registration_token)
    holds = invitation is not None and invitations.admits(invitation, email)
    if settings.SIGN_UP == "invite" and not holds:
        raise SignUpRefused
    if invitation is None:
        return Admission(None, registration_token[:LONGEST_ORIGIN])
    return Admission(invitation if holds else None, f"invitation {invitation.prefix}")


def make_account(user: User, admission: Admission) -> User:
    """Save a new `user` with its customer. Raises AccountExists; SignUpRefused, when the last use was just taken."""
    try:
        with transaction.atomic():
            # First of all: whether an address is known is for those to hear who are let in.
            told = _let_in(user, admission)
            # Not called by the address: a customer keeps its name when the user is anonymised.
            user.customer = Customer.objects.create(name=f"account-{user.uuid}")
            user.save(force_insert=True)
            record_of("user.signed-up", user, user, after={"role": user.role, "origin": admission.origin, **told})
            if not user.is_verified:
                enqueue("accounts.tasks.send_verification", user_id=user.pk)
    except IntegrityError as error:
        raise AccountExists(field="email") from error
    return user


def _let_in(user: User, admission: Admission) -> dict[str, Any]:
    """Take a use of the invitation, give `user` what it presets, and return what the log says of it."""
    invitation = admission.invitation
    if invitation is None:
        return {}
    if not invitations.use_up(invitation):
        if settings.SIGN_UP == "invite":
            raise SignUpRefused
        return {}
    if invitation.instance_limit is not None:
        user.instance_limit = invitation.instance_limit
    user.allowed_features = invitation.allowed_features
    return {"invitation": invitation.pk}


def verification_token(user: User) -> str:
    """What the link in the mail carries: signed, of this user with this address, good for a while."""
    return signing.dumps([str(user.uuid), user.email], salt=_SALT)


def verify(token: str) -> User:
    """The user whose verification token this is, verified now. Done twice, it is as done once.

    Raises InvalidVerification.
    """
    try:
        user_uuid, email = signing.loads(token, salt=_SALT, max_age=settings.VERIFICATION_TIMEOUT_SECONDS)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise InvalidVerification from error
    with transaction.atomic():
        user = User.objects.select_for_update().filter(uuid=user_uuid, email=email, is_active=True).first()
        if user is None:
            raise InvalidVerification
        if not user.is_verified:
            user.is_verified = True
            user.save(update_fields=["is_verified"])
            record_of("user.verified", user, user)
    return user


def resend_verification(user: User) -> None:
    """Mail the link again: once a minute and five times a day. Raises AlreadyVerified, TooOften."""
    if user.is_verified:
        raise AlreadyVerified
    by = str(user.pk)
    spend("verification mail", by, 1, 60)
    spend("verification mail", by, 5, 24 * 3600)
    with transaction.atomic():
        enqueue("accounts.tasks.send_verification", user_id=user.pk)
