"""Usage records in the admin: a list to search, and of each the receipt, from what ran to the bill it is on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import money, queries, services
from billing.admin.filters import (
    CloudFilter,
    ClusterFilter,
    CustomerFilter,
    DayFilter,
    JobFilter,
    JobTypeFilter,
    KindFilter,
    RecipeFilter,
    RecordMonthFilter,
    ShapeFilter,
)
from billing.admin.story import (
    bill_badge,
    bill_link,
    in_cents,
    invoice_link,
    month_text,
    note,
    record_link,
    records_url,
    shown_hours,
)
from billing.models import UsageKind, UsageRecord
from billing.queries import Receipt
from controlplane.core.admin import ServiceForm, badge, facts, link, table, when
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, posted

_TONES: Final = {UsageKind.CORRECTION: "waiting"}


class CorrectForm(ServiceForm):
    amount = forms.DecimalField(
        max_digits=19,
        decimal_places=9,
        label="USD",
        help_text="What the customer is to pay more; less than 0: what is given back.",
    )
    note = forms.CharField(max_length=255, label="Why", help_text="It stands on the record for good.")


def kind_badge(record: UsageRecord) -> SafeString:
    kind = UsageKind(record.kind)
    return badge(str(kind.label), _TONES.get(kind, "quiet"))


@admin.register(UsageRecord)
class UsageRecordAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """All of the staff read them; admins correct them, which makes another record."""

    change_list_template = "admin/billing/change_list.html"
    list_display = (*("id", "what", "of_customer", "begun", "hours", "of_job", "place", "usd", "on_bill_of"),)
    list_filter = (
        *(KindFilter, CloudFilter, RecordMonthFilter, DayFilter, CustomerFilter, JobFilter),
        *(ShapeFilter, JobTypeFilter, ClusterFilter, RecipeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("id",)
    search_help_text = "A record's id"
    fields = ("kind",)
    history_of = "usage"

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        rows = super().get_queryset(request)
        return rows.select_related("customer", "owner", "entered_by")

    def search(self, rows: QuerySet[UsageRecord], term: str) -> QuerySet[UsageRecord]:
        is_id = term.isascii() and term.isdigit() and len(term) < 19
        return rows.filter(pk=int(term)) if is_id else rows.none()

    @admin.display(description="kind")
    def what(self, record: UsageRecord) -> SafeString:
        return kind_badge(record)

    @admin.display(description="customer")
    def of_customer(self, record: UsageRecord) -> str:
        return _said(record.customer)

    @admin.display(description="from")
    def begun(self, record: UsageRecord) -> SafeString | str:
        return when(record.begun_at)

    @admin.display(description="hours")
    def hours(self, record: UsageRecord) -> str:
        return shown_hours(record.peer_ms if record.kind == UsageKind.PEERS else record.run_ms)

    @admin.display(description="job")
    def of_job(self, record: UsageRecord) -> SafeString | str:
        return _job_link(record.job_id) if record.job_id else ""

    @admin.display(description="place")
    def place(self, record: UsageRecord) -> str:
        return "/".join(filter(None, (record.cloud, record.region)))

    @admin.display(description="USD")
    def usd(self, record: UsageRecord) -> str:
        return money.text(record.cost_nano)

    @admin.display(description="on the bill of")
    def on_bill_of(self, record: UsageRecord) -> str:
        return month_text(record.bill_month)

    def detail(self, request: HttpRequest, row: UsageRecord) -> Detail:
        receipt = queries.receipt_of(row)
        return Detail(
            title=f"Usage record {row.pk}",
            badges=[kind_badge(row)],
            line=f"{money.text(row.cost_nano)} {money.CURRENCY}",
            cards=(
                ("What it is of", _used(receipt)),
                ("What it costs", _cost(row)),
                ("Where it is billed", _billed(receipt)),
            ),
            sections=(
                ("How it comes about", _chain(receipt)),
                ("Corrections", _records(receipt.corrections)),
                ("What else was metered of the same interval", _records(receipt.others)),
            ),
        )

    def row_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="correct",
                label="Correct",
                title="Correct what {row} costs",
                allowed=lambda request, row: bool(
                    row.customer is not None and request.user.has_perm("billing.correct_usage")
                ),
                act=_correct,
                form=lambda request, row: CorrectForm(posted(request)),
                warning=lambda request, row: (
                    f"The record stays as it is. The amount is put onto the next bill of {row.customer} that is open, "
                    "as a record of its own."
                ),
            )
        ]


def _correct(request: HttpRequest, row: UsageRecord, wish: dict[str, Any], form: Any) -> str:
    assert row.customer is not None  # else there is no button
    made = services.correct(
        actor=request.user,  # type: ignore[arg-type]
        customer=row.customer,
        amount_nano=money.nano(wish["amount"]),
        note=wish["note"],
        record=row,
    )
    amount, month = money.text(made.cost_nano), month_text(made.bill_month)
    return f"Corrected by {amount} USD, on the bill of {month}: record {made.pk}."


def _said(row: Any) -> str:
    """The name of a row that may be gone."""
    return "" if row is None else str(row)


def _job_link(pk: int) -> SafeString:
    return link(reverse("admin:jobs_job_change", args=[pk]), pk)


def _job(receipt: Receipt, pk: int | None) -> SafeString | str:
    """Its page, if it is there still."""
    if not pk:
        return ""
    return _job_link(pk) if pk in receipt.jobs else f"{pk}, which is gone"


def _execution(receipt: Receipt) -> SafeString | str:
    if receipt.record.kind != UsageKind.EXECUTION:
        return ""
    found = receipt.execution
    if found is None:
        return f"{receipt.record.source_id}, which is gone"
    text = f"try {found.number}, {found.status}"
    return link(reverse("admin:jobs_execution_change", args=[found.pk]), text)


def _container(receipt: Receipt) -> SafeString | str:
    if receipt.record.kind not in (UsageKind.CONTAINER, UsageKind.PEERS):
        return ""
    found = receipt.container
    if found is None:
        return f"{receipt.record.source_id}, which is gone"
    return link(reverse("admin:clusters_container_change", args=[found.pk]), found.name)


def _named(model: str, row: Any, pk: int | None) -> SafeString | str:
    if not pk:
        return ""
    return link(reverse(f"admin:{model}_change", args=[pk]), row) if row else f"{pk}, which is gone"


def _used(receipt: Receipt) -> SafeString | str:
    record = receipt.record
    name = _said(record.customer)
    customer = link(records_url(customer=name), name) if name else "nobody"
    return facts(
        (
            ("From", when(record.begun_at)),
            ("To", when(record.ended_at)),
            ("Customer", customer),
            ("Owner", _said(record.owner)),
            ("Execution", _execution(receipt)),
            ("Job", _job(receipt, record.job_id)),
            ("MapReduce job", _job(receipt, record.root_id) if record.root_id != record.job_id else ""),
            ("Job type", _named("jobtypes_jobtype", receipt.job_type, record.job_type_id)),
            ("Cluster", _named("clusters_cluster", receipt.cluster, record.cluster_id)),
            ("Container", _container(receipt)),
            ("Shape", record.shape),
            ("Place", "/".join(filter(None, (record.cloud, record.region)))),
            ("Corrects", record_link(UsageRecord(pk=record.corrects_id)) if record.corrects_id else ""),
            ("Why", record.note),
            ("Entered by", _said(record.entered_by)),
            ("Metered", when(record.metered_at)),
        )
    )


def _cost(record: UsageRecord) -> SafeString | str:
    def hours(ms: int) -> str:
        return f"{shown_hours(ms)} h" if ms else ""

    return facts(
        (
            ("Offer", record.offer),
            ("Rate", f"{_plain(record.rate)} USD per hour" if record.rate is not None else ""),
            ("Ran", hours(record.run_ms)),
            ("vCPU-hours", hours(record.vcpu_ms)),
            ("GiB-hours", hours(record.gib_ms)),
            ("Peers' time", hours(record.peer_ms)),
            ("Of that free", hours(record.free_ms)),
            ("Cost", f"{money.text(record.cost_nano)} {money.CURRENCY}"),
        )
    )


def _plain(rate: Decimal) -> str:
    return f"{rate.normalize():f}"


def _billed(receipt: Receipt) -> SafeString | str:
    bill, line = receipt.bill, receipt.line
    if bill is None:
        return note(f"It goes onto the bill of {month_text(receipt.record.bill_month)}, which is not drawn up yet.")
    return facts(
        (
            ("Bill", format_html("{} {}", bill_link(bill), bill_badge(bill))),
            ("Line", f"{line.position}. {line.label}" if line else "it is not drawn up with this record yet"),
            ("The line comes to", f"{in_cents(line.amount)} {bill.currency}" if line else ""),
            ("Line at Stripe", line.stripe_item if line else ""),
            ("Invoice at Stripe", invoice_link(bill)),
        )
    )


def _chain(receipt: Receipt) -> SafeString:
    """Each step from what ran to what is asked for, in a line."""
    record, bill, line = receipt.record, receipt.bill, receipt.line
    steps: list[tuple[str, Any]] = []
    if record.kind == UsageKind.CORRECTION:
        steps.append(("Staff's word", f"{record.note}, by {_said(record.entered_by) or 'somebody who is gone'}"))
    else:
        ran = record.peer_ms - record.free_ms if record.kind == UsageKind.PEERS else record.run_ms
        steps.append(
            ("Used", f"{shown_hours(ran)} h between {_moment(record.begun_at)} and {_moment(record.ended_at)}")
        )
        steps.append(("Of", _execution(receipt) or _container(receipt)))
        priced = f"{_plain(record.rate)} USD an hour, {record.offer}" if record.rate is not None else "none: it is free"
        steps.append(("Price", priced))
    steps.append(("Cost", f"{money.text(record.cost_nano)} USD"))
    steps.append(("Bill", bill_link(bill) if bill else f"of {month_text(record.bill_month)}, not drawn up yet"))
    if line:
        steps.append(("Line", f"{line.label}: {in_cents(line.amount)} USD, with {line.records - 1} other records"))
    if bill and bill.stripe_invoice:
        steps.append(("Stripe", format_html("{} {}", invoice_link(bill), line.stripe_item if line else "")))
    return table(("Step", "What"), steps)


def _moment(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _records(found: list[UsageRecord]) -> SafeString | str:
    rows = [
        (
            *(record_link(each), when(each.metered_at), shown_hours(each.run_ms), money.text(each.cost_nano)),
            *(month_text(each.bill_month), each.note, _said(each.entered_by)),
        )
        for each in found
    ]
    return table(("Record", "Metered", "Hours", "USD", "On the bill of", "Why", "By"), rows) if rows else ""
