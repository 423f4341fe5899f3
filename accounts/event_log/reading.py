"""Pages of the event log. A read looks at a bounded number of events whatever the size of the log: it may find none
and lead further all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from accounts.event_log.choices import Choice, Wanted, choose
from accounts.event_log.told import Told, rows, told
from accounts.models import Customer, User
from accounts.services.positions import NUMBERED, number_events
from controlplane.core import sets

LIMIT: Final = 100
MAX_LIMIT: Final = 1000
SEARCHED: Final = 10_000  # events that one read looks at for those that are wanted
_END: Final = "SELECT position FROM accounts_follower WHERE name = %s"


@dataclass(frozen=True, slots=True)
class Page:
    """JSON documents of events in their order, and the position to go on from; that of the question when there is
    nothing new."""

    events: Sequence[str]
    next_after: int


@dataclass(frozen=True, slots=True)
class _Range:
    """Events that an index finds, in its order: a condition with its values."""

    where: str
    values: tuple[int, ...]
    order: str


def read(user: User, wanted: Wanted, after: int, limit: int = LIMIT) -> Page:
    """The first `limit` of the wanted events behind the position `after` that `user` may read."""
    number_events()
    choice = choose(user, wanted)
    found, next_after = chosen(choice, after, limit)
    return Page([choice.text(each) for each in found], next_after)


def end_of_log() -> int:
    """The last position given; 0 if none was."""
    found = sets.run(_END, [NUMBERED])
    return int(found[0][0]) if found else 0


def chosen(choice: Choice, after: int, limit: int) -> tuple[list[Told], int]:
    """The first `limit` of the chosen events behind the position `after`, and the position to go on from."""
    # Before anything else is read: what is numbered meanwhile is for the next read.
    end = end_of_log()
    if after >= end:
        return [], after
    customers = _customers(choice)
    if customers == []:
        return [], end
    conditions, values = choice.conditions()
    if customers and choice.wanted.subject_id is None:
        events = _of_customer(customers[0], after, end)
    else:
        events = _between(after, end)
        if customers:
            conditions, values = [*conditions, "e.customer_id = %s"], [*values, customers[0]]
    # A subject has few events, and an index of its own.
    if conditions and choice.wanted.subject_id is None and end - after > SEARCHED:
        end = _searched(events, end)
        conditions, values = [*conditions, "e.position <= %s"], [*values, end]
    found = _read(events, conditions, values, limit)
    return found, found[-1].position if len(found) == limit else end


def between(after: int, end: int, limit: int) -> list[Told]:
    """The first `limit` of all events behind `after`, up to `end`."""
    return _read(_between(after, end), [], [], limit)


def _customers(choice: Choice) -> list[int] | None:
    """The customer whose events are chosen, none if there is nothing to choose; None: everybody's."""
    if choice.is_empty:
        return []
    own, name = choice.own_id, choice.wanted.customer
    if not name:
        return None if own is None else [own]
    named = Customer.objects.filter(name=name).values_list("pk", flat=True).first()
    return [] if named is None or own not in (None, named) else [named]


def _between(after: int, end: int) -> _Range:
    return _Range("e.position > %s AND e.position <= %s", (after, end), "e.position")


def _of_customer(customer_id: int, after: int, end: int) -> _Range:
    """Compared and ordered as the index of customers is: PostgreSQL would go through all of a log's end for one who
    had much in it once and has nothing there."""
    key = "(e.customer_id, e.position)"
    where = f"{key} > (%s, %s) AND {key} <= (%s, %s) AND e.position IS NOT NULL"
    return _Range(where, (customer_id, after, customer_id, end), "e.customer_id, e.position")


def _searched(events: _Range, end: int) -> int:
    """How far a read looks that may find nothing."""
    statement = f"SELECT e.position FROM accounts_event e WHERE {events.where} ORDER BY {events.order}"  # noqa: S608
    found = sets.run(f"{statement} LIMIT 1 OFFSET {SEARCHED - 1}", events.values)
    return int(found[0][0]) if found else end


def _read(events: _Range, conditions: Sequence[str], values: Sequence[Any], limit: int) -> list[Told]:
    where = " AND ".join([events.where, *conditions])
    found = sets.run(f"{rows()} WHERE {where} ORDER BY {events.order} LIMIT %s", [*events.values, *values, limit])
    return [told(row) for row in found]
