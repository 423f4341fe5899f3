"""What pages about money have in common: amounts and times in words, states in colour, links."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import Event
from billing import queries, states
from billing.hours import HOUR_MS
from billing.models import Bill, BillLine, LineKind, UsageRecord
from controlplane.core.admin import badge, link, link_out, table, when

SHOWN: Final = 50  # events
_TONES: Final = {
    states.DRAFT: "quiet",
    states.OPEN: "waiting",
    states.PAID: "good",
    states.VOID: "quiet",
    states.UNCOLLECTIBLE: "bad",
}
_EXACT: Final = Decimal("0.000001")


def bill_badge(bill: Bill) -> SafeString:
    return badge(bill.status, _TONES[bill.status])


def in_cents(cents: int) -> str:
    """An amount of a bill, in dollars: `1.50`."""
    return f"{Decimal(cents).scaleb(-2):.2f}"


def in_hours(ms: int) -> Decimal:
    """Hours to six places: a bill's numbers can be added up again."""
    return (Decimal(ms) / HOUR_MS).quantize(_EXACT)


def shown_hours(ms: int) -> str:
    """Without needless noughts: `1.5`."""
    return f"{in_hours(ms):f}".rstrip("0").rstrip(".")


def month_text(month: date) -> str:
    return f"{month:%Y-%m}"


def bill_link(bill: Bill) -> SafeString:
    return link(reverse("admin:billing_bill_change", args=[bill.pk]), f"{bill.customer} {month_text(bill.month)}")


def bills_url(**wish: Any) -> str:
    """The list of bills, narrowed by its filters."""
    return f"{reverse('admin:billing_bill_changelist')}?{urlencode(wish)}"


def record_link(record: UsageRecord, text: object = None) -> SafeString:
    return link(reverse("admin:billing_usagerecord_change", args=[record.pk]), text or record.pk)


def records_url(**wish: Any) -> str:
    """The list of usage records, narrowed by its filters."""
    return f"{reverse('admin:billing_usagerecord_changelist')}?{urlencode(wish)}"


def records_behind(bill: Bill, line: BillLine) -> str:
    """The list of what a line adds up."""
    wish: dict[str, Any] = {
        "customer": bill.customer.name,
        "month": month_text(bill.month),
        "kind": queries.kind_at(line.kind).value,
    }
    if line.kind in (LineKind.JOBS, LineKind.JOB_TYPE):
        wish |= {"shape": line.shape, "job_type": line.job_type_id or 0}
    elif line.kind != LineKind.CORRECTION:
        wish["cluster"] = line.cluster_id or 0
    return records_url(**wish)


def invoice_link(bill: Bill) -> SafeString | str:
    """Stripe's page of the bill, if it has one."""
    is_page = bill.invoice_url.startswith("https://")
    return link_out(bill.invoice_url, bill.stripe_invoice or "the invoice") if is_page else bill.stripe_invoice


def timeline(kind: str, pk: int) -> SafeString:
    """The last events of a row, in their order."""
    rows = Event.objects.filter(subject_kind=kind, subject_id=pk).select_related("actor").order_by("-pk")[:SHOWN]
    lines = [(when(each.at), each.kind, _what(each), each.actor or "the system") for each in reversed(rows)]
    return table(("At", "What", "How", "By"), lines) if lines else note("Nothing yet.")


def _what(event: Event) -> str:
    before, after = event.before or {}, event.after or {}
    return ", ".join(
        f"{name} {before[name]} → {value}" if name in before else f"{name} {value}" for name, value in after.items()
    )


def note(text: object) -> SafeString:
    return format_html("<p class='cp-note'>{}</p>", text)
