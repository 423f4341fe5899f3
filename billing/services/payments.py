"""Payment details: the customer at Stripe who pays for one of ours, and our copy of what it says.

Stripe is called outside of transactions; what must not be done twice there is noted before the call.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts import events
from accounts.models import Customer, Standing, User
from billing.errors import NoPayer, PaymentDetailsExist, PaymentDetailsNotFound, StripeRefused, StripeUnavailable
from billing.models import PaymentDetails, RegistrationAttempt
from billing.stripe import customers, stripe_account
from billing.stripe.payer import Payer
from billing.stripe.tax_ids import kind_of
from controlplane.core.errors import InvalidRequest
from controlplane.core.unstorable import UNSTORABLE

# Characters; what has to be said is not empty.
MOST: Final = {
    "name": 256, "email": 254, "phone": 20, "tax_id": 64,
    "line1": 255, "line2": 255, "city": 255, "state": 255, "postal_code": 32, "country": 2,
}  # fmt: skip
NEEDED: Final = ("name", "line1", "city", "country")
# What Stripe refuses for what people wrote, and where they wrote it.
_FAULTS: Final = {
    "tax_id_invalid": ("tax_id", "Stripe knows no such tax id in this country."),
    "email_invalid": ("email", "Stripe does not take this e-mail address."),
}
_NAMES: Final = uuid.UUID("6f1c2f0e-4a53-4d3c-9b0a-2f5f0a7b1c55")
ROUNDS: Final = 3  # of reading from Stripe while somebody else writes our copy


def make_payment_details(*, user: User) -> PaymentDetails:
    """Make the customer at Stripe who pays for `user`'s, theirs to fill in.

    Never two: who finds an attempt that came to nothing here takes up what it left at Stripe. Raises NoPayer,
    PaymentDetailsExist, StripeRefused, StripeUnavailable, StripeNotConfigured.
    """
    if user.customer is None:
        raise NoPayer
    account = stripe_account()
    customer = user.customer
    attempt, is_new = _begin(customer)
    reference = reference_of(customer, attempt.generation)
    stripe_id = None if is_new else customers.find(account, reference)
    if stripe_id is None:
        told = {"controlplane_deployment": settings.DEPLOYMENT, "controlplane_customer_id": str(customer.pk)}
        stripe_id = customers.create(account, reference, told)
    try:
        with transaction.atomic():
            made = PaymentDetails.objects.create(customer=customer, owner=user, stripe_id=stripe_id)
            _stand(customer.pk, True)
            _tell("payment_details.created", made, user, {})
    except IntegrityError as error:
        raise PaymentDetailsExist from error
    return made


def _begin(customer: Customer) -> tuple[RegistrationAttempt, bool]:
    """Note that Stripe is going to be asked for a customer; whether it is for the first time."""
    with transaction.atomic():
        if PaymentDetails.objects.filter(customer=customer).exists():
            raise PaymentDetailsExist
        return RegistrationAttempt.objects.get_or_create(customer=customer)


def reference_of(customer: Customer, generation: int) -> uuid.UUID:
    """What Stripe knows a customer of ours by: another in another deployment, and in an emptied database."""
    made = customer.created_at.isoformat(timespec="microseconds")
    return uuid.uuid5(_NAMES, f"{settings.DEPLOYMENT}/{customer.pk}/{made}/{generation}")


def payment_details_of(*, user: User) -> Payer:
    """What Stripe says of who pays, where `user` made them.

    Raises PaymentDetailsNotFound, StripeRefused, StripeUnavailable, StripeNotConfigured.
    """
    found = refresh(own_payment_details(user).stripe_id)
    if found is None:
        raise PaymentDetailsNotFound
    return found


def own_payment_details(user: User) -> PaymentDetails:
    """Those that `user` made for the customer whom they belong to. Raises PaymentDetailsNotFound."""
    row = PaymentDetails.objects.filter(owner=user, customer=user.customer_id).first()
    if row is None:
        raise PaymentDetailsNotFound
    return row


def set_payment_details(*, user: User, payer: Payer) -> Payer:
    """Have Stripe say this of who pays, and nothing else; what it says then.

    Raises PaymentDetailsNotFound, InvalidRequest, StripeRefused, StripeUnavailable, StripeNotConfigured.
    """
    row = own_payment_details(user)
    tax_kind = _checked(payer)
    account = stripe_account()
    try:
        is_there = customers.write(account, row.stripe_id, payer, tax_kind)
    except StripeRefused as error:
        if error.reason not in _FAULTS:
            raise
        field, words = _FAULTS[error.reason]
        raise InvalidRequest(words, field=field) from error
    found = refresh(row.stripe_id, actor=user)
    if not is_there or found is None:
        raise PaymentDetailsNotFound
    return found


def _checked(payer: Payer) -> str | None:
    """The kind of its tax id. Raises InvalidRequest, naming the field."""
    for field, text in asdict(payer).items():
        if not text and field in NEEDED:
            raise InvalidRequest("This is needed.", field=field)
        if text and (len(text) > MOST[field] or UNSTORABLE.search(text)):
            raise InvalidRequest(f"This has up to {MOST[field]} characters, without NUL.", field=field)
    kind = kind_of(payer.country or "")
    if payer.tax_id and kind is None:
        raise InvalidRequest("Tax ids of this country are not taken.", field="tax_id")
    return kind


def portal_link(*, user: User, return_url: str) -> str:
    """The address of Stripe's own page for cards and bills, good for minutes; it leads back to `return_url`.

    Raises PaymentDetailsNotFound, InvalidRequest, StripeRefused, StripeUnavailable, StripeNotConfigured.
    """
    row = own_payment_details(user)
    if not any((return_url + "/").startswith(f"{base}/") for base in _fronts()) or UNSTORABLE.search(return_url):
        raise InvalidRequest("This is an address of this deployment or of a front end of it.", field="return_url")
    return customers.portal(stripe_account(), row.stripe_id, return_url)


def _fronts() -> list[str]:
    named = [settings.ACCOUNT_URL, settings.PUBLIC_URL, *settings.CORS_ALLOWED_ORIGINS]
    return [each.rstrip("/") for each in named if each]


# --- Our copy --------------------------------------------------------------------------------------


def refresh(stripe_id: str, *, actor: User | None = None) -> Payer | None:
    """Read a customer from Stripe, and make our copy the same; gone there, ours goes, too, and None is returned.

    In whatever order this is done, what Stripe said last stays: a copy that was written since we looked is not
    written over. Raises StripeRefused, StripeUnavailable, StripeNotConfigured.
    """
    account = stripe_account()
    for _ in range(ROUNDS):
        row = PaymentDetails.objects.select_related("owner").filter(stripe_id=stripe_id).first()
        if row is None:
            return None
        payer = customers.read(account, stripe_id)
        if payer is None:
            _drop(row, actor)
            return None
        if _keep(row, payer, actor):
            return payer
    raise StripeUnavailable


def _keep(row: PaymentDetails, payer: Payer, actor: User | None) -> bool:
    changed = [name for name, text in asdict(payer).items() if getattr(row, name) != text]
    if not changed or row.owner.anonymised_at is not None:  # of who has left, Stripe alone knows who they are
        return True
    values = {**asdict(payer), "version": F("version") + 1, "updated_at": timezone.now()}
    with transaction.atomic():
        if not PaymentDetails.objects.filter(pk=row.pk, version=row.version).update(**values):
            return False
        _tell("payment_details.changed", row, actor, {"fields": changed})
    return True


def _drop(row: PaymentDetails, actor: User | None) -> None:
    """Forget a customer that Stripe has no more. The next one is another."""
    with transaction.atomic():
        if not PaymentDetails.objects.filter(pk=row.pk).delete()[0]:
            return
        RegistrationAttempt.objects.filter(customer=row.customer_id).update(generation=F("generation") + 1)
        _stand(row.customer_id, False)
        _tell("payment_details.removed", row, actor, {})


def _stand(customer_id: int, has_payment_details: bool) -> None:
    values = {"has_payment_details": has_payment_details, "updated_at": timezone.now()}
    Standing.objects.update_or_create(customer_id=customer_id, defaults=values)


def _tell(kind: str, row: PaymentDetails, actor: User | None, after: dict[str, list[str]]) -> None:
    actor_id = actor.pk if actor else None
    entry = (kind, "customer", row.customer_id, actor_id, row.customer_id, None, after)
    events.record_personal([events.Personal(entry, row.owner_id)])
