"""Which events a reader is told of: as a condition of SQL, and of one event that is at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from accounts import access
from accounts.event_log.told import Told
from accounts.models import User
from controlplane.core import sets

OF_CUSTOMERS: Final = ("bill", "execution", "job")  # the subjects whose events a customer's users may read


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of these kinds (all of them if empty), this subject, this customer by name."""

    kinds: frozenset[str] = frozenset()
    subject_kind: str = ""
    subject_id: int | None = None
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is wanted, as far as the reader may read it.

    `own_id`: the customer whose user reads, and is told of its jobs and of what is theirs alone (`reader_id`); None
    for staff, who are told everything.
    `is_empty`: there is nothing for them.
    """

    wanted: Wanted = Wanted()
    own_id: int | None = None
    reader_id: int | None = None
    is_empty: bool = False

    def takes(self, told: Told) -> bool:
        """Whether this event is one of them."""
        return not self.is_empty and self._may_read(told) and self.asks_for(told)

    def _may_read(self, told: Told) -> bool:
        if self.own_id is None:
            return True
        is_theirs = told.subject_kind in OF_CUSTOMERS or (told.owner_id is not None and told.owner_id == self.reader_id)
        return told.customer_id == self.own_id and is_theirs

    def asks_for(self, told: Told) -> bool:
        """Whether it is wanted, whoever may read it."""
        wanted = self.wanted
        return (
            (not wanted.kinds or told.kind in wanted.kinds)
            and wanted.subject_kind in ("", told.subject_kind)
            and wanted.subject_id in (None, told.subject_id)
            and wanted.customer in ("", told.customer)
        )

    def conditions(self) -> tuple[list[str], list[Any]]:
        """The same in SQL, but for the customers."""
        wanted = self.wanted
        found: list[str] = []
        values: list[Any] = []
        if self.own_id is not None:
            marks = ", ".join(["%s"] * len(OF_CUSTOMERS))
            found.append(f"(e.subject_kind IN ({marks}) OR e.owner_id = %s)")
            values += [*OF_CUSTOMERS, self.reader_id]
        for column, value in (
            ("subject_kind", wanted.subject_kind or None),
            ("subject_id", wanted.subject_id),
        ):
            if value is not None:
                found.append(f"e.{column} = %s")
                values.append(value)
        if wanted.kinds:
            kinds = sorted(wanted.kinds)
            found.append("e.kind = ANY(%s)" if sets.is_postgresql() else "e.kind IN (SELECT value FROM json_each(%s))")
            values.append(kinds if sets.is_postgresql() else json.dumps(kinds))
        return found, values

    def text(self, told: Told) -> str:
        """The JSON document of an event, with who did it if the reader may know."""
        knows = self.own_id is None or told.actor_customer_id == self.own_id
        return f"{told.head}{told.actor if knows else 'null'}{told.tail}"


def choose(user: User, wanted: Wanted) -> Choice:
    """The wanted events that `user` may read."""
    if access.decide(user, "events", access.READ).allowed:
        return Choice(wanted)
    own = access.decide(user, "events", access.READ, customer_id=user.customer_id)
    return Choice(wanted, user.customer_id, user.pk, is_empty=not own.allowed or user.customer_id is None)
