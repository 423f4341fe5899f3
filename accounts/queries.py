"""Reads of accounts."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts import access, addresses, states
from accounts.errors import (
    CustomerNotFound,
    DeliveryNotFound,
    LimitRequestNotFound,
    NoSuchUser,
    TokenNotFound,
    UserNotFound,
    WebhookNotFound,
)
from accounts.models import (
    ApiToken,
    Customer,
    DeliveryStatus,
    Form,
    Invitation,
    LimitChangeRequest,
    ParkedEvent,
    Role,
    SavedView,
    User,
    Webhook,
    WebhookDelivery,
)
from accounts.models import Standing as FreeTier
from controlplane.core import sets
from controlplane.core.connections import is_exhausted, mend
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import key_of
from controlplane.core.remembered import Remembered

TOKEN_PREFIX_LENGTH = 8
VIEWS: Final = 500  # shown at a time


def new_secret() -> str:
    """A token of 256 random bits, in URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256. A fast digest is right for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_USER_FIELDS: Final = [field.attname for field in User._meta.concrete_fields]
_USER_OF_TOKEN: Final = f"""
SELECT {", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)}, t.scope
FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id
WHERE t.digest = %s AND t.archived_at IS NULL AND u.is_active AND (t.expires_at IS NULL OR t.expires_at > %s)
"""  # noqa: S608 - the names are the model's


def user_of_token(token: str) -> User | None:
    """The enabled user whose live token this is, with the token's scope, else None.

    Found by the digest in a unique index, so how long it takes tells nothing of any stored token. One
    statement of ours, since it stands before every request's work: the ORM's would cost more than the
    submit of a job.
    """
    parameters = [digest(token), timezone.now()]
    try:
        rows = sets.run(_USER_OF_TOKEN, parameters)
    except (OperationalError, InterfaceError) as error:
        if connection.in_atomic_block or is_exhausted(error):
            raise
        # The first statement of a request finds out that the database was restarted; one more try mends it.
        mend()
        rows = sets.run(_USER_OF_TOKEN, parameters)
    return _user_in(rows)


def _user_in(rows: list[tuple[Any, ...]]) -> User | None:
    """The user that _USER_OF_TOKEN found."""
    if not rows:
        return None
    *columns, scope = rows[0]
    user = User.from_db(DEFAULT_DB_ALIAS, _USER_FIELDS, sets.from_database(User, columns))
    user.scope = scope
    return user


_users: Remembered[str, User] = Remembered(limit=2_000)


def remember_user(token: str, user: User) -> None:
    """Keep in this process whose token this was: for who checks it again, in the statement of its work."""
    _users.keep(digest(token), user)


def remembered_user(token: str) -> User | None:
    """Whose token this was when this process last saw it. It may not be so any more."""
    return _users.get(digest(token))


def is_token_of(token_digest: str, user: User) -> bool:
    """Is this the digest of a live token of `user`, enabled and in the role they have here?"""
    now = _user_in(sets.run(_USER_OF_TOKEN, [token_digest, timezone.now()]))
    return now is not None and (now.pk, now.role) == (user.pk, user.role)


class Standing(NamedTuple):
    """What decides on what a user may read."""

    user_id: int
    role: str
    customer_id: int | None


def standings(user_ids: Iterable[int]) -> set[Standing]:
    """Those of these users that are enabled, as they stand now."""
    rows = User.objects.filter(sets.among("id", sorted(user_ids), User), is_active=True)
    return {Standing(*row) for row in rows.values_list("pk", "role", "customer_id")}


def live_digests(digests: Iterable[str]) -> set[str]:
    """Those of these that are digests of tokens which are neither archived nor expired."""
    rows = ApiToken.objects.filter(sets.among("digest", sorted(digests), ApiToken), archived_at__isnull=True)
    is_young = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return set(rows.filter(is_young).values_list("digest", flat=True))


def find_user(username: str) -> User | None:
    return User.objects.filter(username=username).first()


def user_named(username: str, *, field: str) -> User:
    """The user of this name, which somebody typed into `field`. Raises InvalidRequest, naming it."""
    user = find_user(username)
    if user is None:
        raise InvalidRequest("There is no user of this name.", field=field)
    return user


def find_user_by_email(email: str) -> User | None:
    """The user with this address, whatever its case and its form of Unicode."""
    address = addresses.normalised(email)
    if not address.isprintable():
        return None  # PostgreSQL refuses a NUL
    return User.objects.alias(lower=Lower("email")).filter(lower=address).first()


def user_called(username: str) -> User:
    """The user of that name. Raises UserNotFound."""
    # A name is printable; of one that is not, no database need be asked (PostgreSQL refuses a NUL).
    user = find_user(username) if username.isprintable() else None
    if user is None:
        raise UserNotFound(f"There is no user called {username[:150]!r}.", field="user")
    return user


def first_user_of(customer: str) -> User:
    """The first enabled user of a customer. Raises UserNotFound."""
    rows = User.objects.filter(customer__name=customer, role=Role.CUSTOMER, is_active=True).select_related("customer")
    user = rows.order_by("pk").first() if customer.isprintable() else None
    if user is None:
        raise UserNotFound(f"There is no customer {customer[:150]!r} with an enabled user.", field="customer")
    return user


TOTP_KEY: Final = "totp_device"  # in a session: which device has proved it


def is_proved(session: SessionBase, user: User) -> bool:
    """May this session do what staff do: with STAFF_TOTP, by a code of the device that `user` has still?"""
    if not settings.STAFF_TOTP or not user.is_staff:
        return True
    device = session.get(TOTP_KEY)
    return device is not None and bool(TOTPDevice.objects.filter(pk=device, user=user, confirmed=True).exists())


def has_totp(user: User) -> bool:
    """Has `user` a device for one-time codes, confirmed or not?"""
    return bool(TOTPDevice.objects.filter(user=user).exists())


# --- What a user may see ---------------------------------------------------------------------------


def visible_users(actor: User) -> QuerySet[User]:
    """The users that `actor` may read, with their customers."""
    rows = User.objects.select_related("customer")
    return rows if access.decide(actor, "users", access.READ).allowed else rows.filter(pk=actor.pk)


def find_user_for(actor: User, reference: str, action: str) -> User:
    """The user with this id or uuid, if `actor` may do `action` to it. Raises NoSuchUser, Forbidden."""
    user = User.objects.select_related("customer").filter(**key_of(reference, NoSuchUser)).first()
    if user is None:
        raise NoSuchUser
    access.enforce(access.decide(actor, "users", action, owner_id=user.pk, customer_id=user.customer_id), NoSuchUser)
    return user


def visible_customers(actor: User) -> QuerySet[Customer]:
    """The customers that `actor` may read."""
    rows = Customer.objects.all()
    return rows if access.decide(actor, "customers", access.READ).allowed else rows.filter(users=actor)


def find_customer_for(actor: User, customer_id: int) -> Customer:
    """The customer with this id, if `actor` may read it. Raises CustomerNotFound."""
    access.enforce(access.decide(actor, "customers", access.READ, customer_id=customer_id), CustomerNotFound)
    customer = Customer.objects.filter(pk=customer_id).first()
    if customer is None:
        raise CustomerNotFound
    return customer


def visible_tokens(actor: User) -> QuerySet[ApiToken]:
    """The tokens that `actor` may read, with their users."""
    rows = ApiToken.objects.select_related("user")
    return rows if access.decide(actor, "tokens", access.READ).allowed else rows.filter(user=actor)


def own_live_tokens(user: User) -> QuerySet[ApiToken]:
    """The tokens of `user` that are not archived, also when they could see others'."""
    return ApiToken.objects.select_related("user").filter(user=user, archived_at__isnull=True)


def find_token_for(actor: User, token_uuid: str, action: str) -> ApiToken:
    """The token with this uuid, if `actor` may do `action` to it. Raises TokenNotFound, Forbidden."""
    token = ApiToken.objects.select_related("user").filter(uuid=token_uuid).first()
    if token is None:
        raise TokenNotFound
    access.enforce(access.decide(actor, "tokens", action, owner_id=token.user_id), TokenNotFound)
    return token


def visible_limit_requests(actor: User) -> QuerySet[LimitChangeRequest]:
    """The wishes for higher limits that `actor` may read, with whose they are and who decided."""
    rows = LimitChangeRequest.objects.select_related("user", "decided_by")
    return rows if access.decide(actor, "limit_requests", access.READ).allowed else rows.filter(user=actor)


def find_limit_request_for(actor: User, request_id: int, action: str) -> LimitChangeRequest:
    """The wish with this id, if `actor` may do `action` to it. Raises LimitRequestNotFound, Forbidden."""
    found = LimitChangeRequest.objects.select_related("user", "decided_by").filter(pk=request_id).first()
    if found is None:
        raise LimitRequestNotFound
    access.enforce(access.decide(actor, "limit_requests", action, owner_id=found.user_id), LimitRequestNotFound)
    return found


def invitations_meant_by(term: str) -> QuerySet[Invitation]:
    """The invitations for this address, or the one with this token."""
    if "@" in term:
        return Invitation.objects.filter(email=addresses.normalised(term))
    return Invitation.objects.filter(digest=digest(term))


# --- Webhooks --------------------------------------------------------------------------------------


def visible_webhooks(actor: User) -> QuerySet[Webhook]:
    """The webhooks that `actor` may read, with their owners."""
    rows = Webhook.objects.select_related("owner")
    return rows if access.decide(actor, "webhooks", access.READ).allowed else rows.filter(owner=actor)


def own_fishjam_webhooks(user: User) -> QuerySet[Webhook]:
    """The webhooks of `user` that speak Fishjam's form, also when they could see others'."""
    return Webhook.objects.select_related("owner").filter(owner=user, form=Form.FISHJAM)


def find_webhook_for(actor: User, reference: str, action: str) -> Webhook:
    """The webhook with this id or uuid, if `actor` may do `action` to it. Raises WebhookNotFound, Forbidden."""
    webhook = Webhook.objects.select_related("owner").filter(**key_of(reference, WebhookNotFound)).first()
    if webhook is None:
        raise WebhookNotFound
    access.enforce(access.decide(actor, "webhooks", action, owner_id=webhook.owner_id), WebhookNotFound)
    return webhook


def find_delivery(webhook: Webhook, position: int) -> WebhookDelivery:
    """What was or is to be sent to `webhook` of the event at `position`. Raises DeliveryNotFound."""
    found = webhook.deliveries.filter(position=position).first()
    if found is None:
        raise DeliveryNotFound
    return found


def backlog_of(webhooks: Sequence[Webhook]) -> dict[int, int]:
    """How many deliveries each of `webhooks` has that are not sent yet, by its id; those without any are left out."""
    rows = WebhookDelivery.objects.filter(webhook__in=webhooks, status=DeliveryStatus.PENDING)
    return dict(rows.values_list("webhook").annotate(count=Count("pk")).order_by())


def saved_views(user: User, list_name: str = "") -> list[SavedView]:
    """What `user` and, for all of the staff, others have kept: of this list, or of all."""
    rows = SavedView.objects.select_related("user").filter(Q(user=user) | Q(is_shared=True))
    return list((rows.filter(list_name=list_name) if list_name else rows).order_by("list_name", "name", "pk")[:VIEWS])


def free_tier_of(user: User) -> FreeTier:
    """How the customer of `user` stands with what is free; without one, nothing was used."""
    found = FreeTier.objects.filter(customer=user.customer_id).first() if user.customer_id else None
    return found or FreeTier()


# --- What the front page says of it all ----------------------------------------------------------

COUNTED: Final = 1000  # more than these are not counted


@dataclass(frozen=True)
class WebhookHealth:
    """How webhooks do. Deliveries are counted up to one more than COUNTED."""

    failing: int
    given_up: int
    deliveries_failed: int
    deliveries_waiting: int


def given_up_webhooks(rows: QuerySet[Webhook]) -> QuerySet[Webhook]:
    """Those of `rows` that we disabled, as they did not answer."""
    return rows.filter(is_enabled=False).exclude(disabled_because="")


def webhook_health(actor: User) -> WebhookHealth:
    """Of the webhooks that `actor` may read, who may read all deliveries."""
    rows = visible_webhooks(actor)
    failed = WebhookDelivery.objects.filter(status=DeliveryStatus.FAILED)
    waiting = WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING)
    return WebhookHealth(
        rows.filter(is_enabled=True, failing_since__isnull=False).count(),
        given_up_webhooks(rows).count(),
        failed[: COUNTED + 1].count(),
        waiting[: COUNTED + 1].count(),
    )


def parked_events() -> int:
    """How many events were left behind, counted up to one more than COUNTED."""
    return ParkedEvent.objects.all()[: COUNTED + 1].count()


def waiting_limit_requests(actor: User) -> int:
    """How many wishes for higher limits nobody has decided on."""
    return visible_limit_requests(actor).filter(status=states.PENDING).count()
