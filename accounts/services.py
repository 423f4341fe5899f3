"""Every write of accounts."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import events, queries
from accounts.errors import UserExists, UserNotFound, UserState
from accounts.models import ApiToken, Customer, Role, User
from controlplane.core.errors import InvalidRequest
from controlplane.core.remembered import Remembered

__all__ = [
    "create_user",
    "disable_user",
    "enable_user",
    "ensure_customer",
    "issue_token",
    "regenerate_token",
    "revoke_tokens",
    "set_role",
]


_customers: Remembered[str, int] = Remembered()


def _record(kind: str, user: User, actor: User | None, before: object = None, after: object = None) -> None:
    events.record([(kind, "user", user.pk, actor.pk if actor else None, user.customer_id, before, after)])


def ensure_customer(name: str) -> int:
    """The id of the customer called `name`, made if it is new. Customers are never deleted."""
    return _customers.get(name) or _customers.keep(name, Customer.objects.get_or_create(name=name)[0].pk)


def _check_username(username: str) -> None:
    if not username or len(username) > 150 or not username.isprintable() or username != username.strip():
        raise InvalidRequest("A user name has 1 to 150 printable characters and no space at its ends.", field="user")


def create_user(
    *, username: str, role: str, actor: User | None, customer: str | None = None, password: str | None = None
) -> User:
    """Make a user. Without a password it can only use tokens. Raises UserExists, InvalidRequest."""
    _check_username(username)
    if role not in Role.values:
        raise InvalidRequest(f"A role is one of {', '.join(Role.values)}.", field="role")
    if role == Role.CUSTOMER and not customer:
        raise InvalidRequest("A user with the role customer belongs to a customer.", field="customer")
    user = User(username=username, role=role, is_superuser=role == Role.ADMIN)
    user.set_password(password)  # hashing is slow: before the transaction
    try:
        with transaction.atomic():
            user.customer_id = ensure_customer(customer) if customer else None
            user.save(force_insert=True)
            _join_group(user)
            _record("user.created", user, actor, after={"username": username, "role": role})
    except IntegrityError as error:
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
        if role != Role.ADMIN:
            _keep_an_admin(locked)
        before, locked.role, locked.is_superuser = locked.role, role, role == Role.ADMIN
        locked.save(update_fields=["role", "is_superuser"])
        _join_group(locked)
        _record("user.role-changed", locked, actor, {"role": before}, {"role": role})
    return locked


def issue_token(*, user: User, actor: User | None, name: str = "") -> str:
    """A new token of `user`, returned this once. Raises UserState when the user is disabled."""
    secret = queries.new_secret()
    with transaction.atomic():
        if not User.objects.select_for_update().filter(pk=user.pk, is_active=True).exists():
            raise UserState(f"{user.username} is disabled.")
        prefix = secret[: queries.TOKEN_PREFIX_LENGTH]
        ApiToken.objects.create(user=user, name=name, prefix=prefix, digest=queries.digest(secret))
        _record("token.issued", user, actor, after={"prefix": prefix, "name": name})
    return secret


def revoke_tokens(*, user: User, actor: User | None) -> int:
    """Archive every live token of `user`; they are refused from now on."""
    with transaction.atomic():
        count = ApiToken.objects.filter(user=user, archived_at__isnull=True).update(archived_at=timezone.now())
        if count:
            _record("token.revoked", user, actor, after={"tokens": count})
    return count


def _existing(username: str) -> User:
    # A name is printable; of one that is not, no database need be asked (PostgreSQL refuses a NUL).
    user = queries.find_user(username) if username.isprintable() else None
    if user is None:
        raise UserNotFound(f"There is no user called {username[:150]!r}.", field="user")
    return user


def regenerate_token(*, username: str, actor: User | None) -> str:
    """Replace every token of a user by one new token. Raises UserNotFound, UserState."""
    user = _existing(username)
    with transaction.atomic():
        revoke_tokens(user=user, actor=actor)
        return issue_token(user=user, actor=actor)


def _keep_an_admin(user: User) -> None:
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).order_by("pk")
    if [admin.pk for admin in admins] == [user.pk]:
        raise UserState("The last enabled admin cannot be taken away.")


def _set_enabled(username: str, enabled: bool, actor: User | None) -> User:
    user = _existing(username)
    with transaction.atomic():
        if not enabled:
            if actor is not None and user.pk == actor.pk:
                raise UserState("You cannot disable yourself.")
            _keep_an_admin(user)
        if not User.objects.filter(pk=user.pk, is_active=not enabled).update(is_active=enabled):
            raise UserState(f"{username} is already {'enabled' if enabled else 'disabled'}.")
        verb = "enabled" if enabled else "disabled"
        _record(f"user.{verb}", user, actor, {"enabled": not enabled}, {"enabled": enabled})
    return user


def enable_user(*, username: str, actor: User | None) -> User:
    """Let a disabled user in again; the tokens they had work again. Raises UserNotFound, UserState."""
    return _set_enabled(username, True, actor)


def disable_user(*, username: str, actor: User | None) -> User:
    """Shut a user out at once and keep what is theirs. Raises UserNotFound, UserState."""
    return _set_enabled(username, False, actor)
