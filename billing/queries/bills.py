"""Bills, as they may be seen."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import access
from accounts.models import Role, Standing, User
from billing.errors import BillNotFound
from billing.models import Bill
from controlplane.core.filters import key_of


def visible_bills(user: User) -> QuerySet[Bill]:
    """All to staff; to others their customer's."""
    rows = Bill.objects.select_related("customer")
    return rows if user.role != Role.CUSTOMER else rows.filter(customer=user.customer_id or -1)


def own_bills(user: User) -> QuerySet[Bill]:
    """Those of the user's customer, whatever else they may see."""
    return Bill.objects.filter(customer=user.customer_id or -1)


def standing_of(user: User) -> Standing | None:
    """What the user's customer has used of media; None: nothing."""
    return Standing.objects.filter(customer=user.customer_id or -1).first()


def find_bill(user: User, reference: str, action: str = access.READ) -> Bill:
    """A bill by id or uuid. Raises BillNotFound, Forbidden."""
    row = Bill.objects.select_related("customer").filter(**key_of(reference, BillNotFound)).first()
    if row is None:
        raise BillNotFound
    access.enforce(access.decide(user, "bills", action, customer_id=row.customer_id), BillNotFound)
    return row
