"""Differences that the comparison finds: kept while they are there, and let go of when they are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import events
from accounts.models import User
from billing.errors import DifferenceResolved
from billing.models import Difference
from controlplane.core.errors import InvalidRequest
from controlplane.core.unstorable import UNSTORABLE

NOTE: Final = 255
GONE: Final = "It was gone when it was looked for again."


@dataclass(frozen=True, slots=True)
class Found:
    """A difference as it was just seen."""

    kind: str
    ours: str
    theirs: str
    detail: str = ""


def keep(customer_id: int | None, month: date, found: Sequence[Found], kinds: Collection[str]) -> int:
    """Write down what was found of a customer's month when `kinds` were looked at. How many are open of them.

    What is open and was not found again is resolved by itself. What somebody has resolved is not raised again as long
    as both sides say what they said then.
    """
    rows = Difference.objects.filter(customer=customer_id, bill_month=month)
    now, count = timezone.now(), 0
    with transaction.atomic():
        # One at a time: two comparisons of a month do not both write the same row.
        is_open = {row.kind: row for row in rows.filter(resolved_at=None, kind__in=kinds).select_for_update()}
        for each in found:
            row = is_open.pop(each.kind, None)
            values = {"ours": each.ours, "theirs": each.theirs, "detail": each.detail, "last_seen": now}
            if row is not None:
                Difference.objects.filter(pk=row.pk).update(**values)
            elif _is_accepted(rows, each):
                continue
            else:
                made = Difference(
                    kind=each.kind, customer_id=customer_id, bill_month=month, first_seen=now, last_seen=now,
                    ours=each.ours, theirs=each.theirs, detail=each.detail,
                )  # fmt: skip
                Difference.objects.bulk_create([made], ignore_conflicts=True)
            count += 1
        gone = [row.pk for row in is_open.values()]
        Difference.objects.filter(pk__in=gone, resolved_at=None).update(resolved_at=now, note=GONE)
    return count


def _is_accepted(rows: QuerySet[Difference], found: Found) -> bool:
    last = rows.filter(kind=found.kind).order_by("-pk").first()
    return (
        last is not None and last.resolved_by_id is not None and (last.ours, last.theirs) == (found.ours, found.theirs)
    )


def resolve_difference(*, difference: Difference, actor: User, note: str) -> Difference:
    """Say why a difference is as it should be, or was put right. Raises InvalidRequest, DifferenceResolved."""
    note = note.strip()
    if not note or len(note) > NOTE or UNSTORABLE.search(note):
        raise InvalidRequest(f"Say why, in up to {NOTE} characters.", field="note")
    with transaction.atomic():
        row = Difference.objects.select_for_update().get(pk=difference.pk)
        if row.resolved_at is not None:
            raise DifferenceResolved
        row.resolved_at, row.resolved_by, row.note = timezone.now(), actor, note
        row.save(update_fields=["resolved_at", "resolved_by", "note"])
        after = {"kind": row.kind, "month": f"{row.bill_month:%Y-%m}", "note": note}
        entry = ("difference.resolved", "difference", row.pk, actor.pk, row.customer_id, None, after)
        events.record([entry])
    return row
