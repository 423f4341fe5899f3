"""Bills in the admin: what each comes to and how it came about; buttons to settle it, its lines to print and keep."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Customer
from billing import money, services, states
from billing.admin.filters import BillMonthFilter, DueFilter, StatusFilter
from billing.admin.story import (
    bill_badge,
    in_cents,
    in_hours,
    invoice_link,
    month_text,
    note,
    records_behind,
    records_url,
    shown_hours,
    timeline,
)
from billing.models import Bill, BillLine, LineKind
from controlplane.core.admin import facts, link, table, when
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form
from controlplane.core.spreadsheets import csv_answer

SHOWN: Final = 500  # lines; the table to keep has all
_MOVES: Final = (
    (states.PAID, "Mark paid", "That is final."),
    (states.VOID, "Void", "Nothing is owed for it any more. That is final."),
    (states.UNCOLLECTIBLE, "Mark uncollectible", "It is not expected to be paid; it can be paid or voided later."),
)
_CENTS: Final = Decimal("0.01")
_AT_STRIPE: Final = "It is changed here only: the invoice at Stripe stays as it is."
_COLUMNS: Final = (
    *("position", "kind", "label", "shape", "job_type_id", "cluster_id", "hours", "free_hours", "vcpu_hours"),
    *("gib_hours", "records", "exact_usd", "amount_usd", "stripe_item"),
)


@admin.register(Bill)
class BillAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Admins settle them, the rest of the staff look."""

    change_list_template = "admin/billing/change_list.html"
    list_display = ("id", "customer", "of_month", "state", "usd", "opened", "sent")
    list_display_links = ("id", "customer")
    list_filter = (StatusFilter, DueFilter, BillMonthFilter)
    list_select_related = ("customer",)
    search_fields = ("uuid",)
    search_help_text = "How a customer's name begins, an id, a whole uuid, or an invoice's id at Stripe"
    fields = ("uuid",)
    history_of = "bill"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bill]:
        return super().get_queryset(request).select_related("customer")

    def search(self, rows: QuerySet[Bill], term: str) -> QuerySet[Bill]:
        try:
            key = read_reference(term)
        except ValueError:
            if term.startswith("in_"):
                return rows.filter(stripe_invoice=term)
            return rows.filter(customer__in=begins(Customer.objects.all(), "name", term).values("pk"))
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="month")
    def of_month(self, bill: Bill) -> str:
        return month_text(bill.month)

    @admin.display(description="status")
    def state(self, bill: Bill) -> SafeString:
        return bill_badge(bill)

    @admin.display(description="USD")
    def usd(self, bill: Bill) -> str:
        return in_cents(bill.amount)

    @admin.display(description="opened")
    def opened(self, bill: Bill) -> SafeString | str:
        return when(bill.opened_at)

    @admin.display(description="sent")
    def sent(self, bill: Bill) -> SafeString | str:
        return when(bill.sent_at)

    def detail(self, request: HttpRequest, row: Bill) -> Detail:
        return Detail(
            title=f"Bill of {row.customer} for {month_text(row.month)}",
            badges=[bill_badge(row)],
            line=f"{in_cents(row.amount)} {row.currency}",
            cards=(("What it comes to", _amounts(row)), ("What became of it", _moments(row))),
            sections=(
                ("Lines", _lines(row)),
                ("How it comes about", _how(row)),
                ("What happened", timeline("bill", row.pk)),
            ),
        )

    # --- To print and to keep ------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"billing_bill_{name}")
            for name, view in (("print", self._print), ("csv", self._csv))
        ]
        return [*own, *super().get_urls()]

    def _print(self, request: HttpRequest, pk: int) -> HttpResponse:
        bill = self._seen(request, pk)
        lines = [
            (line.position, line.label, shown_hours(line.quantity_ms), in_cents(line.amount))
            for line in bill.lines.order_by("position")
        ]
        context = {
            "bill": bill,
            "month": month_text(bill.month),
            "lines": lines,
            "total": in_cents(bill.amount),
            "peer_hours": shown_hours(bill.peer_ms) if bill.peer_ms else "",
            "free_hours": shown_hours(bill.free_ms) if bill.free_ms else "",
        }
        return TemplateResponse(request, "billing/bill.html", context)

    def _csv(self, request: HttpRequest, pk: int) -> HttpResponse:
        bill = self._seen(request, pk)
        rows = (_row(line) for line in bill.lines.order_by("position"))
        return csv_answer(f"bill-{bill.pk}-{month_text(bill.month)}.csv", _COLUMNS, rows)

    def _seen(self, request: HttpRequest, pk: int) -> Bill:
        if not self.has_view_permission(request):
            raise PermissionDenied
        bill: Bill = self._row(request, pk)
        return bill

    # --- Buttons -------------------------------------------------------------------------------------

    def buttons(self, request: HttpRequest, row: Bill) -> list[tuple[str, str]]:
        more = (("To print", "print"), ("Lines as CSV", "csv"))
        shown = [(label, reverse(f"admin:billing_bill_{name}", args=[row.pk])) for label, name in more]
        return [*super().buttons(request, row), *shown]

    def row_pages(self) -> list[RowPage]:
        drawn = RowPage(
            name="draw-up",
            label="Draw up",
            allowed=lambda request, row: self.may_change(request, row) and row.status == states.DRAFT,
            act=_draw_up,
            form=plain_form,
            warning=lambda request, row: "It says then what is metered by now. It stays a draft.",
        )
        return [drawn, *(self._move(*move) for move in _MOVES)]

    def _move(self, to: str, label: str, warning: str) -> RowPage:
        def allowed(request: HttpRequest, row: Bill) -> bool:
            return self.may_change(request, row) and states.BILL.allows(row.status, to)

        def act(request: HttpRequest, row: Bill, wish: dict[str, Any], form: Any) -> str:
            services.move_bill(bill=row, to=to, actor=request.user)  # type: ignore[arg-type]
            return f"It is {to} now."

        def warn(request: HttpRequest, row: Bill) -> str:
            return f"{warning} {_AT_STRIPE}" if row.stripe_invoice else warning

        return RowPage(name=to, label=label, allowed=allowed, act=act, form=plain_form, warning=warn)


def _draw_up(request: HttpRequest, row: Bill, wish: dict[str, Any], form: Any) -> str:
    bill = services.draw_up_bill(bill=row)
    return f"Drawn up: {in_cents(bill.amount)} {bill.currency}."


def _amounts(bill: Bill) -> SafeString | str:
    return facts(
        (
            ("Customer", link(reverse("admin:accounts_customer_change", args=[bill.customer_id]), bill.customer)),
            ("Month", month_text(bill.month)),
            ("Amount", f"{in_cents(bill.amount)} {bill.currency}"),
            ("Before it was rounded", f"{money.text(bill.exact_nano)} {bill.currency}"),
            ("Peers' time", f"{shown_hours(bill.peer_ms)} h" if bill.peer_ms else ""),
            ("Of that free", f"{shown_hours(bill.free_ms)} h" if bill.peer_ms else ""),
        )
    )


def _moments(bill: Bill) -> SafeString | str:
    return facts(
        (
            ("Drawn up", when(bill.drawn_up_at)),
            ("Opened", when(bill.opened_at)),
            ("Settled", when(bill.settled_at)),
            ("All of it at Stripe", when(bill.sent_at)),
            ("Not sent, as", bill.sending_error),
            ("Sent again", when(bill.sending_next_at) if bill.sending_error else ""),
            ("Told to Stripe's meter up to", bill.metered_to),
            ("Invoice at Stripe", invoice_link(bill)),
            ("UUID", bill.uuid),
        )
    )


def _lines(bill: Bill) -> SafeString:
    found = list(bill.lines.order_by("position")[: SHOWN + 1])
    if not found:
        return note("Nothing is on it yet.")
    is_peers = {LineKind.PEERS}
    rows: list[tuple[Any, ...]] = [
        (
            *(line.position, line.label, shown_hours(line.quantity_ms)),
            shown_hours(line.free_ms) if line.kind in is_peers else "",
            *(shown_hours(line.vcpu_ms) if line.vcpu_ms else "", shown_hours(line.gib_ms) if line.gib_ms else ""),
            *(money.text(line.exact_nano), in_cents(line.amount)),
            link(records_behind(bill, line), f"{line.records} records"),
            line.stripe_item,
        )
        for line in found[:SHOWN]
    ]
    if len(found) <= SHOWN:
        rows.append(
            ("", "In all", "", "", "", "", money.text(bill.exact_nano), in_cents(bill.amount), _all_records(bill), "")
        )
    heads = ("", "For", "Hours", "Of that free", "vCPU-hours", "GiB-hours", "Exact, USD", "USD", "Of", "At Stripe")
    shown = table(heads, rows)
    more = note(f"The first {SHOWN} lines; all of them are in the CSV.") if len(found) > SHOWN else ""
    return format_html("{}{}", shown, more)


def _all_records(bill: Bill) -> SafeString:
    return link(records_url(customer=bill.customer.name, month=month_text(bill.month)), "all records")


def _how(bill: Bill) -> SafeString:
    return format_html(
        "<p>{} Each line adds up the records that it leads to: what ran, from when to when, at which price. What they "
        "come to exactly is rounded to cents so that the lines together are the rounded sum. What was metered when the "
        "month was closed already is on a later bill, and so are corrections.</p>",
        "It is drawn up anew as things are metered, until its month is closed."
        if bill.status == states.DRAFT
        else "It is final.",
    )


def _row(line: BillLine) -> tuple[Any, ...]:
    """As _COLUMNS names them."""
    times = (line.quantity_ms, line.free_ms, line.vcpu_ms, line.gib_ms)
    return (
        *(line.position, line.kind, line.label, line.shape, line.job_type_id, line.cluster_id),
        *(in_hours(ms) for ms in times),
        *(
            line.records,
            money.usd(line.exact_nano),
            money.usd(line.amount * money.CENT).quantize(_CENTS),
            line.stripe_item,
        ),
    )
