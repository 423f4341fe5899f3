"""Accounts of people who sign in with Google."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import addresses, queries
from accounts.errors import InvalidCredential, NoSuchUser
from accounts.models import Role, User
from accounts.services.sign_up import check_open, make_account
from accounts.services.told import record_of


@dataclass(frozen=True, slots=True)
class Claims:
    """Who somebody is, by Google: `subject` stays the same for good, `email` is verified."""

    subject: str
    email: str


def register_with_google(claims: Claims, registration_token: str) -> User:
    """Make a verified user without a password. Raises SignUpRefused, InvalidRequest, AccountExists."""
    admission = check_open(registration_token, claims.email)
    address = addresses.readable(claims.email)
    user = User(username=address, email=address, role=Role.CUSTOMER, google_subject=claims.subject)
    user.password = make_password(None)
    return make_account(user, admission)


def user_of_google(claims: Claims) -> User:
    """The enabled user whom Google speaks of: by subject, else a customer's user by verified address, linked now.

    Never one whose address is not verified here, too: somebody else may have signed up with it. Staff are not found
    by address. Raises NoSuchUser, InvalidCredential.
    """
    user = User.objects.filter(google_subject=claims.subject).first()
    if user is None:
        user = queries.find_user_by_email(claims.email)
        if user is None:
            raise NoSuchUser("No user has this e-mail address.")
        if user.role != Role.CUSTOMER or not user.is_verified or user.google_subject is not None:
            raise InvalidCredential
    if not user.is_active:
        raise InvalidCredential
    if user.google_subject is None:
        with transaction.atomic():
            free = User.objects.filter(pk=user.pk, google_subject=None, email=user.email, is_verified=True)
            if not free.update(google_subject=claims.subject):
                raise InvalidCredential
            record_of("user.google-linked", user, user)
    return user
