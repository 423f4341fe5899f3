"""How records, costs and bills are shown. Amounts are text in USD, times are seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from billing import money
from billing.models import Bill, BillLine, UsageKind, UsageRecord
from billing.queries import Cost, Mentioned, Spent, mentioned_in
from billing.queries.records import OF_CONTAINERS, Named
from jobtypes.api.v6.rows import moment

_TIMES: Final = {
    "run_seconds": "run_ms",
    "vcpu_seconds": "vcpu_ms",
    "gb_seconds": "gib_ms",
    "peer_seconds": "peer_ms",
    "free_peer_seconds": "free_ms",
}


def seconds(ms: int) -> float:
    return ms / 1000


def month(first: date) -> str:
    return f"{first:%Y-%m}"


# --- Records -----------------------------------------------------------------------------------------


def records(page: Sequence[UsageRecord]) -> list[dict[str, Any]]:
    found = mentioned_in(page)
    return [_record(each, found) for each in page]


def _record(row: UsageRecord, found: Mentioned) -> dict[str, Any]:
    job_type = found.job_types.get(row.job_type_id or 0)
    cluster = _of(row.cluster_id, found.clusters)
    return {
        "id": row.pk,
        "kind": row.kind,
        "number": row.number,
        "begun": moment(row.begun_at),
        "ended": moment(row.ended_at),
        "customer": _called(row.customer, "name"),
        "owner": _called(row.owner, "username"),
        "job": _reference(row.job_id, found.jobs),
        "root_job": _reference(row.root_id, found.jobs),
        "execution": _reference(row.source_id if row.kind == UsageKind.EXECUTION else None, found.executions),
        "container": _reference(row.source_id if row.kind in OF_CONTAINERS else None, found.containers),
        "job_type": job_type and {"id": job_type.id, "name": job_type.name, "version": job_type.version},
        "cluster": cluster and {"id": cluster.id, "uuid": cluster.uuid, "name": cluster.name},
        "shape": row.shape,
        "cloud": row.cloud,
        "region": row.region,
        **{name: seconds(getattr(row, column)) for name, column in _TIMES.items()},
        "price": _price(row),
        "currency": money.CURRENCY,
        "cost": money.text(row.cost_nano),
        "month": month(row.bill_month),
        "note": row.note,
        "entered_by": _called(row.entered_by, "username"),
        "corrects": row.corrects_id,
        "metered": moment(row.metered_at),
    }


def _called(row: Any, column: str) -> str | None:
    """A record outlives whom it speaks of."""
    return None if row is None else getattr(row, column)


def _price(row: UsageRecord) -> dict[str, Any] | None:
    if row.rate is None:
        return None
    return {"offer": row.offer, "per_hour": money.plain(row.rate), "currency": money.CURRENCY}


def _of(row_id: int | None, found: Mapping[int, Named]) -> Named | None:
    return None if row_id is None else found.get(row_id, Named(row_id))


def _reference(row_id: int | None, found: Mapping[int, Named]) -> dict[str, Any] | None:
    row = _of(row_id, found)
    return row and {"id": row.id, "uuid": row.uuid}


def receipt(
    row: UsageRecord,
    billed: tuple[Bill | None, BillLine | None],
    others: Sequence[UsageRecord],
    corrections: Sequence[UsageRecord],
) -> dict[str, Any]:
    """A record with where it is billed, and what else was said of it."""
    bill, line = billed
    first, *rest = records([row, *others, *corrections])
    return {
        **first,
        "bill": bill and {"id": bill.pk, "uuid": bill.uuid, "month": month(bill.month), "status": bill.status},
        "line": line and {"position": line.position, "label": line.label},
        "stripe": _stripe(bill, line),
        "others": rest[: len(others)],
        "corrections": rest[len(others) :],
    }


def _stripe(bill: Bill | None, line: BillLine | None) -> dict[str, Any] | None:
    if bill is None or not bill.stripe_invoice:
        return None
    return {"invoice": bill.stripe_invoice, "item": line.stripe_item or None if line else None}


# --- Costs -------------------------------------------------------------------------------------------


def costs(found: Sequence[Spent]) -> dict[str, Any]:
    return {
        "currency": money.CURRENCY,
        "results": [_spent(each) for each in found],
        "total": money.text(sum(each.sums["cost_nano"] for each in found)),
    }


def _spent(each: Spent) -> dict[str, Any]:
    by = dict(each.by)
    if "bill_month" in by:
        by["month"] = month(by.pop("bill_month"))
    return {
        **by,
        **{name: seconds(each.sums[column]) for name, column in _TIMES.items()},
        "records": each.sums["records"],
        "cost": money.text(each.sums["cost_nano"]),
    }


def cost(of: Cost) -> dict[str, Any]:
    return {
        "currency": money.CURRENCY,
        "so_far": money.text(of.so_far_nano),
        "metered": money.text(of.metered_nano),
        "running": money.text(of.running_nano),
        "estimated_total": None if of.estimated_nano is None else money.text(of.estimated_nano),
    }


# --- Bills -------------------------------------------------------------------------------------------


def bill(row: Bill) -> dict[str, Any]:
    return {
        "id": row.pk,
        "uuid": row.uuid,
        "customer": row.customer.name,
        "month": month(row.month),
        "status": row.status,
        "currency": row.currency,
        "amount": money.text(row.amount * money.CENT),
        "exact": money.text(row.exact_nano),
        "peer_seconds": seconds(row.peer_ms),
        "free_peer_seconds": seconds(row.free_ms),
        "drawn_up": moment(row.drawn_up_at),
        "opened": moment(row.opened_at),
        "settled": moment(row.settled_at),
        "stripe_invoice": row.stripe_invoice or None,
        "invoice_url": row.invoice_url or None,
    }


def whole_bill(row: Bill) -> dict[str, Any]:
    """With its lines."""
    return {**bill(row), "lines": [_line(each) for each in row.lines.order_by("position")]}


def _line(row: BillLine) -> dict[str, Any]:
    return {
        "position": row.position,
        "kind": row.kind,
        "label": row.label,
        "shape": row.shape,
        "job_type_id": row.job_type_id,
        "cluster_id": row.cluster_id,
        "records": row.records,
        "seconds": seconds(row.quantity_ms),
        "free_seconds": seconds(row.free_ms),
        "vcpu_seconds": seconds(row.vcpu_ms),
        "gb_seconds": seconds(row.gib_ms),
        "amount": money.text(row.amount * money.CENT),
        "exact": money.text(row.exact_nano),
    }
