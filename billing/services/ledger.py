"""The ledger: records, and their sums by day in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from operator import add, attrgetter
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts import events
from accounts.models import Customer, Follower, User
from billing import hours, money
from billing.models import UsageDay, UsageKind, UsageRecord
from billing.models.usage import METER, SUMS
from billing.queries import last_closed
from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from controlplane.core.unstorable import UNSTORABLE

MOST_NANO: Final = 10**18  # a billion dollars
NOTE: Final = 255


@dataclass(slots=True)
class Entry:
    """A record to be: times in milliseconds since 1970, or of use; see UsageRecord."""

    kind: str
    source_id: int
    begun_ms: int
    ended_ms: int
    customer_id: int | None
    owner_id: int | None
    cost_nano: int
    number: int = 0
    shape: str = ""
    cloud: str = ""
    region: str = ""
    job_id: int | None = None
    root_id: int | None = None
    job_type_id: int | None = None
    cluster_id: int | None = None
    run_ms: int = 0
    vcpu_ms: int = 0
    gib_ms: int = 0
    peer_ms: int = 0
    free_ms: int = 0
    offer: str = ""
    rate: Decimal | None = None
    note: str = ""
    entered_by_id: int | None = None
    corrects_id: int | None = None


_SAME: Final = (
    *("kind", "source_id", "number", "shape", "cloud", "region", "job_id", "root_id", "job_type_id", "cluster_id"),
    *("run_ms", "vcpu_ms", "gib_ms", "peer_ms", "free_ms", "offer", "rate", "cost_nano", "note", "corrects_id"),
)
_COLUMNS: Final = (*_SAME, "customer", "owner", "entered_by", "begun_at", "ended_at", "bill_month", "metered_at")
_USUAL: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("number", "peer_ms", "free_ms"), 0),
    **dict.fromkeys(("job_type_id", "cluster_id", "corrects_id", "entered_by")),
    "note": "",
}
_same = attrgetter(*_SAME)
_added = attrgetter(*SUMS[1:])
_KEY: Final = (
    *("day", "bill_month", "customer_id", "owner_id", "kind", "shape", "cloud", "region", "job_type_id", "cluster_id"),
)


@contextmanager
def locked() -> Iterator[None]:
    """The right to write records: whoever follows the log for the meter has it, too."""
    with transaction.atomic():
        Follower.objects.select_for_update().filter(name=METER).first()
        yield


def enter(entries: Sequence[Entry]) -> None:
    """Write records and add them to the sums. The caller holds the lock."""
    if not entries:
        return
    closed, now = last_closed(), timezone.now()
    rows, sums = [], defaultdict[tuple[Any, ...], list[int]](lambda: [0] * len(SUMS))
    for entry in entries:
        begun = hours.moment_of(entry.begun_ms)
        month = bill_month(begun, closed)
        ended = hours.moment_of(entry.ended_ms)
        rows.append((*_same(entry), entry.customer_id, entry.owner_id, entry.entered_by_id, begun, ended, month, now))
        key = (
            *(begun.date(), month, entry.customer_id or 0, entry.owner_id or 0, entry.kind, entry.shape, entry.cloud),
            *(entry.region, entry.job_type_id or 0, entry.cluster_id or 0),
        )
        sums[key] = list(map(add, sums[key], (1, *_added(entry))))
    # Most records leave most of this as it is by default: what need not be said need not be sent.
    columns = {
        name: values
        for name, values in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
        if name not in _USUAL or values.count(_USUAL[name]) < len(values)
    }
    sets.insert(UsageRecord, list(columns), list(zip(*columns.values(), strict=True)))
    days = [(*key, *values) for key, values in sorted(sums.items())]
    sets.upsert(UsageDay, (*_KEY, *SUMS), days, key=_KEY, add=SUMS)


def bill_month(moment: datetime, closed: date | None) -> date:
    """On whose month's bill something of that moment goes, when all up to `closed` is billed already."""
    month = hours.month_of(moment)
    return month if closed is None or month > closed else hours.next_month(closed)


def correct(
    *,
    actor: User,
    customer: Customer,
    amount_nano: int,
    note: str,
    record: UsageRecord | None = None,
) -> UsageRecord:
    """Put an amount, which may be less than nothing, onto the customer's next bill; of a record if one is named.

    Nothing that was metered is changed. Raises InvalidRequest naming the field.
    """
    if not amount_nano or abs(amount_nano) > MOST_NANO:
        raise InvalidRequest("This is an amount other than 0, of at most a billion dollars.", field="amount")
    if not note.strip() or len(note) > NOTE or UNSTORABLE.search(note):
        raise InvalidRequest(f"Say why, in up to {NOTE} characters.", field="note")
    if record is not None and record.customer_id != customer.pk:
        raise InvalidRequest("This record is another customer's.", field="record")
    now = hours.milliseconds(timezone.now())
    entry = Entry(UsageKind.CORRECTION, 0, now, now, customer.pk, None, amount_nano, note=note, entered_by_id=actor.pk)
    if record is not None:
        named = ("shape", "cloud", "region", "job_id", "root_id", "job_type_id", "cluster_id", "owner_id")
        entry = replace(entry, corrects_id=record.pk, **{name: getattr(record, name) for name in named})
    with locked():
        last = UsageRecord.objects.filter(kind=UsageKind.CORRECTION).order_by("-source_id").first()
        entry = replace(entry, source_id=last.source_id + 1 if last else 1)
        enter([entry])
        made = UsageRecord.objects.get(kind=UsageKind.CORRECTION, source_id=entry.source_id)
        after = {"customer": customer.name, "amount": money.text(amount_nano), "note": note}
        events.record([("usage.corrected", "usage", made.pk, actor.pk, customer.pk, None, after)])
    return made
