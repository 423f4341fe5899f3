"""Customers and users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower

from accounts import events, queries
from accounts.errors import CustomerExists, EmailTaken, UserExists, UserState
from accounts.models import Customer, Role, User
from accounts.services.limits import check_features, check_limit, set_features, set_instance_limit
from accounts.services.rates import spend
from accounts.services.told import record_of
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered

_customers: Remembered[str, int] = Remembered()


def ensure_customer(name: str) -> int:
    """The id of the customer called `name`, made if it is new. Customers are never deleted."""
    return _customers.get(name) or _customers.keep(name, Customer.objects.get_or_create(name=name)[0].pk)


def create_customer(*, name: str, actor: User | None) -> Customer:
    """Make a customer before its first mention. Raises CustomerExists, InvalidRequest."""
    if not name.strip() or len(name) > 255 or not name.isprintable():
        raise InvalidRequest("The name of a customer has 1 to 255 printable characters.", field="name")
    try:
        with transaction.atomic():
            customer = Customer.objects.create(name=name)
            actor_id = actor.pk if actor else None
            events.record([("customer.created", "customer", customer.pk, actor_id, customer.pk, None, {"name": name})])
    except IntegrityError as error:
        raise CustomerExists(field="name") from error
    return customer


# --- Users -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Password:
    """A password that was found good enough, hashed."""

    encoded: str


def make_ready(password: str, *, username: str, email: str | None = None) -> Password:
    """Check a new password by the validators of the settings, and hash it. Raises InvalidRequest.

    Hashing is slow on purpose: for callers to do before their transaction begins.
    """
    try:
        validate_password(password, User(username=username, email=email))
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), field="password") from error
    return Password(make_password(password))


def _readable_email(email: str | None) -> str | None:
    if not email:
        return None
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), field="email") from error
    return email


def _is_taken(email: str | None) -> bool:
    """By the comparison of the constraint: whatever the case."""
    return User.objects.alias(lower=Lower("email")).filter(lower=Lower(Value(email))).exists() if email else False


def _check_username(username: str) -> None:
    if not username or len(username) > 150 or not username.isprintable() or username != username.strip():
        raise InvalidRequest("A user name has 1 to 150 printable characters and no space at its ends.", field="user")


def create_user(
    *,
    username: str,
    role: str,
    actor: User | None,
    customer: str | None = None,
    email: str | None = None,
    password: str | Password | None = None,
) -> User:
    """Make a user. Without a password it can only use tokens. Raises UserExists, EmailTaken, InvalidRequest."""
    _check_username(username)
    if role not in Role.values:
        raise InvalidRequest(f"A role is one of {', '.join(Role.values)}.", field="role")
    if role == Role.CUSTOMER and not customer:
        raise InvalidRequest("A user with the role customer belongs to a customer.", field="customer")
    user = User(username=username, role=role, email=_readable_email(email), is_superuser=role == Role.ADMIN)
    if isinstance(password, str):
        password = make_ready(password, username=username, email=email)
    user.password = make_password(None) if password is None else password.encoded
    try:
        with transaction.atomic():
            user.customer_id = ensure_customer(customer) if customer else None
            user.save(force_insert=True)
            _join_group(user)
            record_of("user.created", user, actor, after={"username": username, "role": role})
    except IntegrityError as error:
        if _is_taken(user.email) and not User.objects.filter(username=username).exists():
            raise EmailTaken(field="email") from error
        raise UserExists(field="user") from error
    return user


def _join_group(user: User) -> None:
    user.groups.set(Group.objects.filter(name=user.get_role_display()))


def set_role(*, user: User, role: str, actor: User | None) -> User:
    """Give `user` another role. The last enabled admin keeps theirs."""
    if role not in Role.values:
        raise InvalidRequest(f"A role is one of {', '.join(Role.values)}.", field="role")
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if role == locked.role:
            return locked
        if role == Role.CUSTOMER and locked.customer_id is None:
            raise InvalidRequest("A user with the role customer belongs to a customer.", field="role")
        if role != Role.ADMIN:
            _keep_an_admin(locked)
        before, locked.role, locked.is_superuser = locked.role, role, role == Role.ADMIN
        locked.save(update_fields=["role", "is_superuser"])
        _join_group(locked)
        record_of("user.role-changed", locked, actor, {"role": before}, {"role": role})
    return locked


def facts_of_user(user: User) -> dict[str, Any]:
    """What staff may say of a user, as the event log has it."""
    return {
        "username": user.username,
        "role": user.role,
        "customer": user.customer.name if user.customer else None,
        "email": user.email,
        "enabled": user.is_active,
        "instance_limit": user.instance_limit,
        "allowed_features": user.allowed_features,
    }


class UserChanges(TypedDict, total=False):
    """What may be changed of a user; what is absent stays."""

    role: str
    is_active: bool
    email: str | None
    password: str
    instance_limit: int
    allowed_features: Sequence[str]


def update_user(*, user: User, actor: User | None, **changes: Unpack[UserChanges]) -> User:
    """Change several things of `user`, all or none. Raises UserState, EmailTaken, InvalidRequest, TooOften."""
    email = _readable_email(changes["email"]) if "email" in changes else user.email
    if "instance_limit" in changes:
        check_limit(changes["instance_limit"], "instance_limit")
    features = check_features(changes["allowed_features"]) if "allowed_features" in changes else None
    new = make_ready(changes["password"], username=user.username, email=email) if "password" in changes else None
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update().get(pk=user.pk)
            if "role" in changes and changes["role"] != locked.role:
                set_role(user=locked, role=changes["role"], actor=actor)
            if "is_active" in changes and changes["is_active"] != locked.is_active:
                _set_enabled(locked.username, changes["is_active"], actor)
            if email != locked.email:
                _change_email(locked, email, actor)
                record_of("user.email-changed", locked, actor, {"email": locked.email}, {"email": email})
            if "instance_limit" in changes:
                set_instance_limit(locked, changes["instance_limit"], actor)
            if features is not None:
                set_features(locked, features, actor)
            if new is not None:
                User.objects.filter(pk=locked.pk).update(password=new.encoded)
                record_of("user.password-changed", locked, actor)
    except IntegrityError as error:
        raise EmailTaken(field="email") from error
    return User.objects.select_related("customer").get(pk=user.pk)


def _change_email(user: User, email: str | None, actor: User | None) -> None:
    """Of what a customer's user says of themselves nobody knows yet whether it is true. Caller holds the row."""
    claimed = email is not None and actor is not None and actor.pk == user.pk and user.role == Role.CUSTOMER
    changes = {"is_verified": False} if claimed else {}
    User.objects.filter(pk=user.pk).update(email=email, **changes)
    if claimed:
        spend("address change", str(user.pk), 5, 24 * 3600)
        enqueue("accounts.tasks.send_verification", user_id=user.pk)


def _keep_an_admin(user: User) -> None:
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).order_by("pk")
    if [admin.pk for admin in admins] == [user.pk]:
        raise UserState("The last enabled admin cannot be taken away.")


def _set_enabled(username: str, enabled: bool, actor: User | None) -> User:
    user = queries.user_called(username)
    with transaction.atomic():
        if not enabled:
            if actor is not None and user.pk == actor.pk:
                raise UserState("You cannot disable yourself.")
            _keep_an_admin(user)
        changes: dict[str, Any] = {"is_active": enabled}
        if not enabled:
            changes["times_disabled"] = F("times_disabled") + 1  # ends sessions for good
        if not User.objects.filter(pk=user.pk, is_active=not enabled).update(**changes):
            raise UserState(f"{username} is already {'enabled' if enabled else 'disabled'}.")
        verb = "enabled" if enabled else "disabled"
        record_of(f"user.{verb}", user, actor, {"enabled": not enabled}, {"enabled": enabled})
    return user


def enable_user(*, username: str, actor: User | None) -> User:
    """Let a disabled user in again; the tokens they had work again, their sessions not.

    Raises UserNotFound, UserState.
    """
    return _set_enabled(username, True, actor)


def disable_user(*, username: str, actor: User | None) -> User:
    """Shut a user out at once and keep what is theirs. Raises UserNotFound, UserState."""
    return _set_enabled(username, False, actor)
