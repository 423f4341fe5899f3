"""How a record comes to what it costs, and where that is billed. Rows that are gone by now are None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Q

from billing.models import Bill, BillLine, UsageKind, UsageRecord
from billing.queries.positions import position_of
from clusters.models import Cluster, Container
from jobs.models import Execution, Job
from jobtypes.models import JobType

MOST: Final = 50  # corrections
WITH_IT: Final = ("customer", "owner", "entered_by")


@dataclass(frozen=True)
class Receipt:
    """`jobs`: of the record's job and the one whose task that is, those that are there.

    `others` say that what was metered of the same interval was something else; `corrections` are staff's.
    """

    record: UsageRecord
    execution: Execution | None
    jobs: frozenset[int]
    job_type: JobType | None
    cluster: Cluster | None
    container: Container | None
    bill: Bill | None
    line: BillLine | None
    others: list[UsageRecord]
    corrections: list[UsageRecord]


def receipt_of(record: UsageRecord) -> Receipt:
    """In as many statements as a record has references, at most."""
    is_execution = record.kind == UsageKind.EXECUTION
    is_container = record.kind in (UsageKind.CONTAINER, UsageKind.PEERS)
    bill, line = billed_on(record)
    named = [each for each in (record.job_id, record.root_id) if each]
    return Receipt(
        record=record,
        execution=Execution.objects.filter(pk=record.source_id).first() if is_execution else None,
        jobs=frozenset(Job.objects.filter(pk__in=named).values_list("pk", flat=True) if named else ()),
        job_type=JobType.objects.filter(pk=record.job_type_id).first() if record.job_type_id else None,
        cluster=Cluster.objects.filter(pk=record.cluster_id).first() if record.cluster_id else None,
        container=Container.objects.filter(pk=record.source_id).first() if is_container else None,
        bill=bill,
        line=line,
        others=others_of(record),
        corrections=corrections_of(record),
    )


@dataclass(frozen=True)
class Step:
    """A record, and where it is billed."""

    record: UsageRecord
    bill: Bill | None
    line: BillLine | None


def receipts_of_execution(execution: Execution) -> list[Step]:
    """What was metered of an execution, the first hours of it, and where each is billed. In three statements."""
    rows = UsageRecord.objects.filter(kind=UsageKind.EXECUTION, source_id=execution.pk).order_by("begun_at", "number")
    records = list(rows[:MOST])
    if not records:
        return []
    first = records[0]
    bills = {
        bill.month: bill
        for bill in Bill.objects.filter(
            customer=first.customer_id, month__in={each.bill_month for each in records}
        ).select_related("customer")
    }
    # All are of one job, so they are on the same line of each of these bills.
    at = position_of(first.kind, first.shape, first.job_type_id or 0, 0)
    lines = {
        line.bill_id: line
        for line in BillLine.objects.filter(
            bill__in=bills.values(), kind=at.kind, shape=at.shape, job_type_id=at.job_type_id or None
        )
    }
    found = [(each, bills.get(each.bill_month)) for each in records]
    return [Step(record, bill, lines.get(bill.pk) if bill else None) for record, bill in found]


def others_of(record: UsageRecord) -> list[UsageRecord]:
    """What the meter said of the same interval besides."""
    same = UsageRecord.objects.filter(kind=record.kind, source_id=record.source_id, begun_at=record.begun_at)
    return list(same.filter(~Q(pk=record.pk)).select_related(*WITH_IT).order_by("number")[:MOST])


def corrections_of(record: UsageRecord) -> list[UsageRecord]:
    """What staff corrected of it."""
    found = UsageRecord.objects.filter(corrects_id=record.pk).select_related(*WITH_IT)
    return list(found.order_by("pk")[:MOST])


def billed_on(record: UsageRecord) -> tuple[Bill | None, BillLine | None]:
    """The bill on which it is or comes, and the line there, once these have been drawn up."""
    bill = Bill.objects.filter(customer=record.customer_id, month=record.bill_month).first()
    if bill is None:
        return None, None
    at = position_of(record.kind, record.shape, record.job_type_id or 0, record.cluster_id or 0)
    line = bill.lines.filter(
        kind=at.kind, shape=at.shape, job_type_id=at.job_type_id or None, cluster_id=at.cluster_id or None
    )
    return bill, line.first()
