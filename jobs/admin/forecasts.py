"""Forecasts as the admin shows them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.models import Source
from clusters.queries import CURRENCY
from controlplane.core.admin import badge, facts, table
from jobs import queries
from jobs.admin.policy_story import places
from jobs.policy import Rung
from jobs.services import Forecast


def shown_forecast(row: Forecast) -> SafeString:
    """Where a job would run, what it would wait for, and what it will cost."""
    waits = table(("It would wait: reason", "What frees it"), [(each.code, each.hint) for each in row.waits_for])
    about = facts(
        [
            ("Place", str(Rung(row.cloud, row.region, row.capacity))),
            ("Why there", queries.why_here(row.policy, 0) if row.policy else ""),
            ("Size", _size(row)),
            (
                "Offer",
                f"{row.rate.offer} ({row.rate.capacity})" if row.rate else "none is large enough and has a price",
            ),
            ("Rate", f"{row.rate.per_hour:f} {CURRENCY} per hour" if row.rate else ""),
            ("Price", _word(row)),
            ("Half of the jobs like it cost at most", _money(row.p50)),
            ("Nine in ten cost at most", _money(row.p90)),
            ("From", f"{row.history.jobs} jobs that completed" if row.history else "no job like it has completed yet"),
        ]
    )
    ladder = places(row.policy, 0) if row.policy and row.policy.places else ""
    return format_html("{}{}{}", about, waits if row.waits_for else "", ladder)


def shown_forecasts(rows: Sequence[tuple[str, Forecast]]) -> SafeString:
    """The jobs of a recipe by the names of their nodes, a line each."""
    lines = [
        (
            name,
            str(Rung(row.cloud, row.region, row.capacity)),
            _size(row),
            ", ".join(each.code for each in row.waits_for),
            format_html("{} {} per hour {}", f"{row.rate.per_hour:f}", CURRENCY, _word(row))
            if row.rate
            else "not known",
            _money(row.p50),
            _money(row.p90),
        )
        for name, row in rows
    ]
    return table(("Node", "Place", "Size", "Waits for", "Rate", "Half cost at most", "Nine in ten"), lines)


def _size(row: Forecast) -> str:
    return f"{row.vcpus_milli / 1000:g} vCPUs, {row.memory_mib} MiB"


def _word(row: Forecast) -> SafeString | str:
    if row.rate is None:
        return ""
    return badge("EXAMPLE, no quote", "waiting") if row.rate.is_example else Source(row.rate.source).label


def _money(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f} {CURRENCY}"
