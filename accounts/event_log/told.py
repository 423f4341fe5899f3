"""An event as it is told: what it is chosen by, and its JSON document.

Written as text, at once: what the database keeps as JSON goes through unread, and a page of a thousand events costs
less than their rows would as objects. `accounts.api.v6.events.EventSerializer` declares the same, and a test holds the
two together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from controlplane.core import sets

# ISO 8601 in UTC, without a fraction where it is 0, as datetime.isoformat has it. SQLite keeps it so but for T and Z.
_POSTGRESQL_AT: Final = """
replace(to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""
_SQLITE_AT: Final = "replace(e.at, ' ', 'T') || 'Z'"
_ROWS: Final = """
SELECT e.position, e.kind, e.subject_kind, e.subject_id, e.customer_id, c.name, u.username, u.customer_id, e.owner_id,
    {at}, CAST(e.before AS text), CAST(e.after AS text)
FROM accounts_event e
LEFT JOIN accounts_customer c ON c.id = e.customer_id
LEFT JOIN accounts_user u ON u.id = e.actor_id
"""


class Told(NamedTuple):
    """An event; `actor` stands between the two parts of its document: not all may know who did it."""

    position: int
    kind: str
    subject_kind: str
    subject_id: int
    customer_id: int | None
    customer: str | None
    actor_customer_id: int | None
    owner_id: int | None
    head: str
    actor: str
    tail: str


def rows() -> str:
    """The beginning of the statement whose rows `told` reads; `e` are the events."""
    return _ROWS.format(at=_POSTGRESQL_AT if sets.is_postgresql() else _SQLITE_AT)


def told(row: Sequence[Any]) -> Told:
    position, kind, subject_kind, subject_id, customer_id, customer, actor, actor_customer_id, owner_id, *rest = row
    at, before, after = rest
    subject = f'{{"kind":{_quoted(subject_kind)},"id":{subject_id}}}'
    head = f'{{"position":{position},"at":"{at}","kind":{_quoted(kind)},"subject":{subject},"actor":'
    tail = f',"customer":{_quoted(customer)},"before":{before or "null"},"after":{after or "null"}}}'
    return Told(
        *(position, kind, subject_kind, subject_id, customer_id, customer, actor_customer_id, owner_id),
        *(head, _quoted(actor), _harmless(tail)),
    )


@lru_cache(maxsize=4096)
def _quoted(name: str | None) -> str:
    return _harmless(json.dumps(name, ensure_ascii=False))


def _harmless(text: str) -> str:
    """Without the two characters that JSON may have as they are and older JavaScript may not, as DRF writes it."""
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
