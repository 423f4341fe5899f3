"""Giving events their positions: the order in which all who follow the log see them.

Whoever reads the log numbers first what was committed since. Only one does at a time, so a position is
visible exactly when all before it are; and of two events of one subject the one that caused the other has
the lower id and was committed before it, so it is numbered before it.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

from accounts.models import Event, Follower
from controlplane.core import sets

BATCH: Final = 5000
NUMBERED: Final = "numbered"  # the follower whose position is the last one given
_LOCK: Final = "SELECT position FROM accounts_follower WHERE name = %s"
_NUMBER: Final = """
UPDATE accounts_event SET position = %s + chosen.number
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS number
    FROM (SELECT id FROM accounts_event WHERE position IS NULL ORDER BY id LIMIT %s) AS waiting
) AS chosen
WHERE accounts_event.id = chosen.id
"""


def number_events(at_most: int = BATCH) -> int:
    """Give the next positions to events that are committed and have none, `at_most` so many; how many those were.

    0 also while somebody else is at it: their positions will be seen at the next look.
    """
    if not Event.objects.filter(position__isnull=True).exists():
        return 0
    with transaction.atomic():
        last = _claim()
        if last is None:
            return 0
        with connection.cursor() as cursor:
            cursor.execute(_NUMBER, [last, at_most])
            count: int = cursor.rowcount
        if count:
            Follower.objects.filter(name=NUMBERED).update(position=last + count)
    return count


def _claim() -> int | None:
    """The last position given, whose row is locked from here on; None while another transaction holds it.

    A statement of its own: the next one sees what the last holder has committed. On SQLite the transaction
    itself keeps others out.
    """
    statement = f"{_LOCK} FOR UPDATE SKIP LOCKED" if sets.is_postgresql() else _LOCK
    rows = sets.run(statement, [NUMBERED])
    if not rows and not Follower.objects.filter(name=NUMBERED).exists():
        Follower.objects.bulk_create([Follower(name=NUMBERED)], ignore_conflicts=True)
        rows = sets.run(statement, [NUMBERED])
    return int(rows[0][0]) if rows else None
