"""What becomes of the payment details of somebody whose account was closed."""

from __future__ import annotations

from dataclasses import asdict
from functools import reduce
from operator import or_
from typing import Final

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import events
from billing.models import PaymentDetails
from billing.stripe.payer import Payer

_WORDS: Final = tuple(asdict(Payer()))
AT_ONCE: Final = 500


def forget_payers() -> int:
    """Forget what our copies say of who pays where their account was closed; of how many.

    Stripe still knows them, and we whom to ask for there, since bills are made and paid as before.
    """
    says_something = reduce(or_, (Q(**{f"{name}__isnull": False}) for name in _WORDS))
    left = PaymentDetails.objects.filter(says_something, owner__anonymised_at__isnull=False)
    with transaction.atomic():
        rows = list(left.select_for_update(of=("self",)).order_by("pk")[:AT_ONCE])
        told = []
        for row in rows:
            said = [name for name in _WORDS if getattr(row, name) is not None]
            values = {**dict.fromkeys(said), "version": F("version") + 1, "updated_at": timezone.now()}
            PaymentDetails.objects.filter(pk=row.pk).update(**values)
            entry = ("payment_details.changed", "customer", row.customer_id, None, row.customer_id, None)
            told.append(events.Personal((*entry, {"fields": said}), row.owner_id))
        events.record_personal(told)
    return len(rows)
