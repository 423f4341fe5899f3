"""Bills: drawn up while a month goes on, closed once, moved as Stripe says."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from accounts import events
from accounts.models import User
from billing import hours, money, shares, states
from billing.errors import BillState, MonthOpen
from billing.models import Bill, BillLine, ClosedMonth, LineKind, UsageDay
from billing.models.usage import SUMS
from billing.queries import Position, in_open_months, position_of
from billing.services.ledger import locked
from clusters.models import Cluster
from controlplane.core.enqueue import enqueue
from controlplane.core.transitions import compare_and_set
from jobs.models import Shape
from jobtypes.models import JobType

# So long after a month's end its last hour is metered, with what clouds say late.
CLOSES_AFTER: Final = timedelta(hours=6)
AT_ONCE: Final = 200
SLICE_SECONDS: Final = 20.0


# --- Drawing up ----------------------------------------------------------------------------------------------------


def draw_up_drafts() -> int:
    """Have the bills of the months that are open say what is metered of them. How many were drawn up."""
    done = 0
    stale = _stale()
    for start in range(0, len(stale), AT_ONCE):
        with transaction.atomic():
            for customer_id, month in stale[start : start + AT_ONCE]:
                draw_up(customer_id, month)
                done += 1
    return done


def _stale() -> list[tuple[int, date]]:
    """Customers and months of which there are sums that their draft does not say."""
    sums = in_open_months().values("customer_id", "bill_month").annotate(cost=Sum("cost_nano"), count=Sum("records"))
    drafts = {
        (bill.customer_id, bill.month): (bill.exact_nano, bill.records)
        for bill in Bill.objects.filter(status=states.DRAFT).annotate(records=Sum("lines__records"))
    }
    return sorted(
        (row["customer_id"], row["bill_month"])
        for row in sums
        if drafts.get((row["customer_id"], row["bill_month"])) != (row["cost"], row["count"])
    )


def draw_up(customer_id: int, month: date) -> Bill:
    """Write the draft of a customer's bill for a month, with its lines, from what is metered. In a transaction."""
    bill, _ = Bill.objects.select_for_update().get_or_create(customer_id=customer_id, month=month)
    if bill.status != states.DRAFT:
        return bill
    lines = _lines(customer_id, month)
    bill.lines.all().delete()
    for line in lines:
        line.bill = bill
    BillLine.objects.bulk_create(lines)
    bill.exact_nano = sum(line.exact_nano for line in lines)
    bill.amount = sum(line.amount for line in lines)
    bill.peer_ms = sum(line.quantity_ms for line in lines if line.kind == LineKind.PEERS)
    bill.free_ms = sum(line.free_ms for line in lines)
    bill.drawn_up_at = timezone.now()
    bill.save()
    return bill


def draw_up_bill(*, bill: Bill) -> Bill:
    """Write a draft anew at once. Raises BillState when it is final."""
    with transaction.atomic():
        drawn = draw_up(bill.customer_id, bill.month)
        if drawn.status != states.DRAFT:
            raise BillState(f"A bill that is {drawn.status} is final.")
    return drawn


def _lines(customer_id: int, month: date) -> list[BillLine]:
    rows = (
        UsageDay.objects.filter(bill_month=month, customer_id=customer_id)
        .values_list("kind", "shape", "job_type_id", "cluster_id")
        .annotate(*(Sum(name) for name in SUMS))
    )
    found: dict[Position, list[int]] = {}
    for kind, shape, job_type_id, cluster_id, *sums in rows:
        position = position_of(kind, shape, job_type_id, cluster_id)
        there = found.setdefault(position, [0] * len(SUMS))
        found[position] = [old + new for old, new in zip(there, sums, strict=True)]
    positions = sorted(found)
    labels = _labels(positions)
    cents = shares.rounded([found[position][-1] for position in positions], money.CENT)
    lines = []
    for number, (position, amount) in enumerate(zip(positions, cents, strict=True), start=1):
        records, run_ms, vcpu_ms, gib_ms, peer_ms, free_ms, exact = found[position]
        lines.append(
            BillLine(
                position=number,
                kind=position.kind,
                label=labels[position],
                shape=position.shape,
                job_type_id=position.job_type_id or None,
                cluster_id=position.cluster_id or None,
                quantity_ms=peer_ms if position.kind == LineKind.PEERS else run_ms,
                free_ms=free_ms,
                vcpu_ms=vcpu_ms,
                gib_ms=gib_ms,
                records=records,
                exact_nano=exact,
                amount=amount,
            )
        )
    return lines


_WORDS: Final = {
    Shape.CONTAINER: "Container jobs",
    Shape.INSTANCE: "Instance jobs",
    Shape.SEED: "Seed jobs",
    Shape.MAPREDUCE: "MapReduce jobs",
}


def _labels(positions: Sequence[Position]) -> dict[Position, str]:
    types = {
        row.pk: f"{row.name} {row.version}"
        for row in JobType.objects.filter(pk__in=[each.job_type_id for each in positions])
    }
    clusters = dict(Cluster.objects.filter(pk__in=[each.cluster_id for each in positions]).values_list("pk", "name"))
    found: dict[Position, Any] = {}
    for each in positions:
        if each.kind == LineKind.JOB_TYPE:
            found[each] = f"Jobs of {types.get(each.job_type_id, 'a job type')}"
        elif each.kind == LineKind.JOBS:
            found[each] = _WORDS.get(Shape(each.shape), "Jobs")
        elif each.kind == LineKind.CORRECTION:
            found[each] = "Corrections"
        else:
            what = "Peers' time" if each.kind == LineKind.PEERS else "Containers"
            found[each] = f"{what} in {clusters.get(each.cluster_id, 'a cluster')}"[:255]
    return found


# --- Closing -------------------------------------------------------------------------------------------------------


def close_month(month: date, *, actor: User | None = None, now: datetime | None = None, end: float = math.inf) -> int:
    """Make final bills of what was used up to the end of a month. How many that were; none if all are.

    May be broken off and called again; leaves off by itself at `end` of the monotonic clock. Raises MonthOpen when it
    has not ended long enough ago.
    """
    month = month.replace(day=1)
    with locked():
        if not ClosedMonth.objects.filter(month__gte=month).exists():
            _demand_ended(month, now or timezone.now())
            ClosedMonth.objects.create(month=month)
            events.tell("month.closed", month.year * 100 + month.month, actor, {"month": f"{month:%Y-%m}"})
    done = 0
    for customer_id, of in _unbilled(month):
        if time.monotonic() >= end:
            return done
        with transaction.atomic():
            done += _open(draw_up(customer_id, of), actor)
    ClosedMonth.objects.filter(month__lte=month, billed_at=None).update(billed_at=timezone.now())
    return done


def close_months(now: datetime | None = None) -> bool:
    """Close what has ended of the months in which something was used, the oldest first, for a slice of time.

    Whether all of it is done.
    """
    end = time.monotonic() + SLICE_SECONDS
    this = hours.month_of((now or timezone.now()) - CLOSES_AFTER)
    while time.monotonic() < end:
        month = (
            _used(None).filter(bill_month__lt=this).order_by("bill_month").values_list("bill_month", flat=True).first()
        )
        if month is None:
            return True
        close_month(month, now=now, end=end)
    return False


def begin_closing(*, month: date, actor: User, seconds: float) -> bool:
    """Close a month as far as that takes no longer, and leave the rest to a task. Whether all of it is done.

    Raises MonthOpen when it has not ended long enough ago.
    """
    close_month(month, actor=actor, end=time.monotonic() + seconds)
    if ClosedMonth.objects.filter(month__gte=month, billed_at__isnull=False).exists():
        return True
    with transaction.atomic():
        enqueue("billing.tasks.close_months")
    return False


def _demand_ended(month: date, now: datetime) -> None:
    end = hours.begin(hours.next_month(month))
    if now < end + CLOSES_AFTER:
        raise MonthOpen(f"{month:%Y-%m} can be closed from {end + CLOSES_AFTER:%Y-%m-%d %H:%M} UTC on.")


def _unbilled(month: date) -> list[tuple[int, date]]:
    """The customers and months up to `month` that have no final bill yet."""
    final = Bill.objects.filter(month__lte=month).exclude(status=states.DRAFT)
    billed = set(final.filter(_since("month")).values_list("customer_id", "month"))
    pairs = _used(month).values_list("customer_id", "bill_month").distinct().order_by("bill_month", "customer_id")
    return [pair for pair in pairs if pair not in billed]


def _used(month: date | None) -> QuerySet[UsageDay]:
    """What customers used, up to a month, of which not all bills are final; without one, ever."""
    rows = UsageDay.objects.filter(_since("bill_month")).exclude(customer_id=0)
    return rows if month is None else rows.filter(bill_month__lte=month)


def _since(column: str) -> Q:
    """Of months after the last one of which all bills are final."""
    last = ClosedMonth.objects.filter(billed_at__isnull=False).aggregate(last=Max("month"))["last"]
    return Q(**{f"{column}__gt": last}) if last else Q()


def _open(bill: Bill, actor: User | None) -> bool:
    moved = _move(bill, states.OPEN, "opened_at")
    if moved is not None:
        _tell(bill, moved, states.OPEN, actor)
        if not bill.amount:
            move_bill(bill=bill, to=states.PAID, actor=actor)  # nobody owes anything
    return moved is not None


def _move(bill: Bill, to: str, stamp: str) -> str | None:
    """The state it came from; None where its state does not allow it. Caller holds a transaction."""
    moved = compare_and_set(Bill, states.BILL, to, {bill.pk: {stamp: timezone.now()}}, (stamp,))
    return str(moved[bill.pk][0]) if moved else None


def move_bill(*, bill: Bill, to: str, actor: User | None) -> Bill:
    """A final bill was paid, or is not to be paid. Raises BillState where its state does not allow it."""
    with transaction.atomic():
        before = None if to == states.OPEN else _move(bill, to, "settled_at")
        row = Bill.objects.select_related("customer").get(pk=bill.pk)
        if before is not None:
            _tell(row, before, to, actor)
        elif row.status != to:
            raise BillState(f"A bill that is {row.status} does not become {to}.")
    return row


def _tell(bill: Bill, before: str, to: str, actor: User | None) -> None:
    after = {"status": to, "month": f"{bill.month:%Y-%m}", "amount": money.text(bill.amount * money.CENT)}
    actor_id = actor.pk if actor else None
    events.record([("bill.moved", "bill", bill.pk, actor_id, bill.customer_id, {"status": before}, after)])
