"""Reading the event log in the order of its positions.

Whoever goes on from the last position that they have dealt with misses nothing and is told nothing twice. A read
looks at a bounded number of events whatever the size of the log: it may find none and lead further all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db.models import F, Q, QuerySet
from django.db.models.fields.tuple_lookups import TupleGreaterThan, TupleLessThanOrEqual

from accounts import access
from accounts.models import Customer, Event, Follower, User
from accounts.services.positions import NUMBERED, number_events

LIMIT: Final = 100
MAX_LIMIT: Final = 1000
SEARCHED: Final = 10_000  # events that one read looks at for those that are wanted
OF_CUSTOMERS: Final = "job"  # the subjects whose events a customer's users may read
_COLUMNS: Final = ("position", "at", "kind", "subject_kind", "subject_id", "customer__name", "before", "after")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of these kinds (all of them if empty), this subject, this customer by name."""

    kinds: frozenset[str] = frozenset()
    subject_kind: str = ""
    subject_id: int | None = None
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An event as its reader sees it. `actor`: who did it by name; None for nobody, or one the reader may not know."""

    position: int
    at: datetime
    kind: str
    subject_kind: str
    subject_id: int
    customer: str | None
    before: Any
    after: Any
    actor: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Events in their order, and the position to go on from; that of the question when there is nothing new."""

    events: Sequence[Told]
    next_after: int


def read(user: User, wanted: Wanted, after: int, limit: int = LIMIT) -> Page:
    """The first `limit` of the wanted events behind the position `after` that `user` may read."""
    number_events()
    # Before anything else is read: what is numbered meanwhile is for the next read.
    end = Follower.objects.filter(name=NUMBERED).values_list("position", flat=True).first() or 0
    if after >= end:
        return Page((), after)
    rows, conditions = _narrowed(user, wanted, after, end)
    if conditions:
        searched = rows.values_list("position", flat=True)[SEARCHED - 1 : SEARCHED]
        end = next(iter(searched), None) or end
        rows = rows.filter(conditions, position__lte=end)
    found: list[tuple[Any, ...]] = list(rows.values_list(*_COLUMNS, "actor__username", "actor__customer")[:limit])
    told = [Told(*row[:-1]) for row in found]
    if not _reads_all(user):
        strange = [row[-1] != user.customer_id for row in found]
        told = [replace(each, actor=None) if hide else each for each, hide in zip(told, strange, strict=True)]
    return Page(told, told[-1].position if len(told) == limit else end)


def _reads_all(user: User) -> bool:
    return access.decide(user, "events", access.READ).allowed


def _narrowed(user: User, wanted: Wanted, after: int, end: int) -> tuple[QuerySet[Event], Q]:
    """What an index finds between two positions, and what else is asked: each that is found is looked at for that.

    A subject has few events.
    """
    conditions = Q()
    customer_id = None
    if wanted.customer:
        customer_id = Customer.objects.filter(name=wanted.customer).values_list("pk", flat=True).first()
        if customer_id is None:
            return Event.objects.none(), conditions
    if not _reads_all(user):
        own = access.decide(user, "events", access.READ, customer_id=user.customer_id)
        if not own.allowed or customer_id not in (None, user.customer_id):
            return Event.objects.none(), conditions
        customer_id = user.customer_id
        conditions &= Q(subject_kind=OF_CUSTOMERS)
    if wanted.kinds:
        conditions &= Q(kind__in=wanted.kinds)
    if wanted.subject_kind:
        conditions &= Q(subject_kind=wanted.subject_kind)
    if wanted.subject_id is not None:
        of_customer = Q() if customer_id is None else Q(customer=customer_id)
        return _between(after, end).filter(of_customer, conditions, subject_id=wanted.subject_id), Q()
    return _between(after, end) if customer_id is None else _of_customer(customer_id, after, end), conditions


def _between(after: int, end: int) -> QuerySet[Event]:
    return Event.objects.filter(position__gt=after, position__lte=end).order_by("position")


def _of_customer(customer_id: int, after: int, end: int) -> QuerySet[Event]:
    """Compared and ordered as the index of customers is: PostgreSQL would go through all of a log's end for one who
    had much in it once and has nothing there."""
    key = (F("customer_id"), F("position"))
    bounds = TupleGreaterThan(key, (customer_id, after)), TupleLessThanOrEqual(key, (customer_id, end))
    return Event.objects.filter(*bounds, position__isnull=False).order_by("customer_id", "position")
