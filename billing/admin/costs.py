"""What things cost, on the pages that the floors below have of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import money, queries
from billing.admin.story import bill_badge, bill_link, in_cents, invoice_link, note, record_link, records_url
from billing.models import UsageRecord
from billing.queries import Cost
from billing.queries.receipts import MOST, Step
from clusters.models import Cluster
from controlplane.core.admin import facts, link, table, when
from controlplane.core.detail_admin import Section, add_section
from jobs.models import Execution, Job, Recipe
from jobtypes.models import JobType

_UNKNOWN: Final = "not known: nothing like it has run, or has a price"
_ENDLESS: Final = "none: it has no end"


def _cost_of(
    model: type[Model], parameter: str, read: Callable[[Any], Cost], heading: str = "Cost", unknown: str = _ENDLESS
) -> None:
    """Add what a row costs to its page. `parameter`: by what the list of records is narrowed to it."""

    def section(request: HttpRequest, row: Any) -> Section:
        if not request.user.has_perm("billing.view_usagerecord"):
            return heading, ""
        cost = read(row)
        estimated = unknown if cost.estimated_nano is None else _usd(cost.estimated_nano)
        records = link(records_url(**{parameter: row.pk}), "what was metered of it")
        pairs: list[tuple[str, Any]] = [("Cost so far", _usd(cost.so_far_nano))]
        if cost.running_nano:
            pairs += [("Of that metered", _usd(cost.metered_nano)), ("Not metered yet", _usd(cost.running_nano))]
        return heading, facts((*pairs, ("Estimated total", estimated), ("Usage records", records)))

    add_section(model, section)


def _usd(nano: int) -> str:
    return f"{money.text(nano)} {money.CURRENCY}"


_cost_of(Job, "job", queries.job_cost, unknown=_UNKNOWN)
_cost_of(Recipe, "recipe", queries.recipe_cost, "Cost of its jobs", unknown="not known until it is completed")
_cost_of(JobType, "job_type", queries.job_type_metered, "Cost of all its jobs, up to the last full hour")
_cost_of(Cluster, "cluster", queries.cluster_cost, "Cost, up to the last full hour")


# --- Executions ------------------------------------------------------------------------------------


def _receipt(request: HttpRequest, execution: Execution) -> Section:
    """From each interval in which it ran to the line on a bill, and at Stripe."""
    heading = "Receipt"
    if not request.user.has_perm("billing.view_usagerecord"):
        return heading, ""
    steps = queries.receipts_of_execution(execution)
    if not steps:
        return heading, note("Nothing is metered of it yet: that is done once it has ended, and every full hour.")
    heads = ("From", "To", "Usage record", "Price", "Cost", "Bill", "Line", "At Stripe")
    shown = table(heads, map(_step, steps))
    if len(steps) < MOST:
        return heading, shown
    every = link(records_url(job=execution.job_id), f"The first {MOST}; all that was metered of its job")
    return heading, format_html("{}<p>{}</p>", shown, every)


def _step(step: Step) -> tuple[Any, ...]:
    record, bill, line = step.record, step.bill, step.line
    at_stripe: SafeString | str = ""
    if bill is not None and bill.stripe_invoice:
        at_stripe = format_html("{} {}", invoice_link(bill), line.stripe_item if line else "")
    return (
        when(record.begun_at),
        when(record.ended_at),
        record_link(record),
        _price(record),
        _usd(record.cost_nano),
        format_html("{} {}", bill_link(bill), bill_badge(bill)) if bill else "not drawn up yet",
        f"{line.position}. {line.label}: {in_cents(line.amount)} {bill.currency}" if bill and line else "",
        at_stripe,
    )


def _price(record: UsageRecord) -> str:
    if record.rate is None:
        return "none: it is free"
    return f"{money.plain(record.rate)} USD per hour, {record.offer}"


add_section(Execution, _receipt)
