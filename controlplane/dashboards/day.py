"""Charts of the front page: how the last 24 hours went, and what each day has cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from billing import money
from controlplane.core.admin import link, table
from controlplane.core.charts import bars
from controlplane.dashboards.found import DAY, DAYS, Found
from jobs import states
from jobs.admin.waiting import jobs_url
from jobs.queries import FAILED

SLOT: Final = timedelta(minutes=15)
SLOTS: Final = DAY // SLOT
PER_HOUR: Final = 4
Chart = tuple[str, SafeString]


def charts(found: Found) -> list[Chart]:
    """Heading and drawing of each that its reader may see and that has anything to show."""
    drawn: list[Chart | None] = []
    if found.user.has_perm("jobs.view_job"):
        drawn += [_ended(found, "Completed", (states.COMPLETED,), "good"), _ended(found, "Failed", FAILED, "bad")]
    if found.user.has_perm("jobs.view_loadsample"):
        drawn.append(_waited(found))
    if found.user.has_perm("billing.view_usagerecord"):
        drawn.append(_cost(found))
    return [chart for chart in drawn if chart is not None]


def _first(found: Found) -> datetime:
    """The beginning of the first quarter of an hour that is shown; the last one is under way."""
    seconds = SLOT.total_seconds()
    begun = found.now.timestamp() // seconds * seconds
    return datetime.fromtimestamp(begun, UTC) - SLOT * (SLOTS - 1)


def _ended(found: Found, word: str, statuses: Sequence[str], tone: str) -> Chart | None:
    first = _first(found)
    slots: dict[int, int] = defaultdict(int)
    for at, status, jobs in found.throughput:
        if status in statuses and at >= first:
            slots[(at - first) // SLOT] += jobs
    total = sum(slots.values())
    if not total:
        return None
    label = f"Jobs {word.lower()} in each quarter of an hour of the last day, {total} in all"
    url = jobs_url(state=statuses, started=(found.now - DAY).isoformat())
    return f"{word} in 24 hours", _drawn(label, first, slots, tone, link(url, "These jobs"))


def _waited(found: Found) -> Chart | None:
    first = _first(found)
    slots: dict[int, int] = defaultdict(int)
    for at, waiting, _ in found.load:
        if at >= first:
            slot = (at - first) // SLOT
            slots[slot] = max(slots[slot], waiting)
    if not any(slots.values()):
        return None
    label = "Jobs that waited, the most in each quarter of an hour of the last day"
    more = link(reverse("admin:jobs_waiting"), "Why they wait now")
    return "Waiting in 24 hours", _drawn(label, first, slots, "waiting", more, adds_up=False)


def _drawn(
    label: str, first: datetime, slots: Mapping[int, int], tone: str, more: SafeString, *, adds_up: bool = True
) -> SafeString:
    """The bars, what the highest says, and the same as a table by the hour."""
    values = [(f"{first + SLOT * slot:%H:%M}", number := slots.get(slot, 0), str(number)) for slot in range(SLOTS)]
    highest = max(values, key=lambda each: each[1])
    merge = sum if adds_up else max
    hours = [
        (f"{first + SLOT * slot:%m-%d %H:%M}", merge(slots.get(each, 0) for each in range(slot, slot + PER_HOUR)))
        for slot in range(0, SLOTS, PER_HOUR)
    ]
    return _with_table(bars(label, values, tone), f"At the top: {highest[1]}, at {highest[0]} UTC.", label, hours, more)


def _with_table(
    drawn: SafeString, top: str, label: str, rows: Sequence[tuple[object, object]], more: SafeString
) -> SafeString:
    name = label.split(",")[0].replace(" ", "-").lower()
    return format_html(
        "{}<p class='cp-note'>{} {}</p><details id='{}'><summary>As a table</summary>{}</details>",
        *(drawn, top, more, f"table-{name}", table(("From, UTC", "Number"), rows)),
    )


def _cost(found: Found) -> Chart | None:
    if not any(found.cost_by_day.values()):
        return None
    days = [found.today - timedelta(days=back) for back in reversed(range(DAYS))]
    values = [(f"{day}", cost := found.cost_by_day.get(day, 0), f"{money.text(cost)} USD") for day in days]
    highest = max(values, key=lambda each: each[1])
    page = reverse("admin:billing_spend")
    rows = [
        (
            link(f"{page}?{urlencode({'month': f'{day:%Y-%m}', 'day': str(day)})}", day),
            money.text(found.cost_by_day[day]),
        )
        for day in days
        if day in found.cost_by_day
    ]
    label = f"USD used on each of the last {DAYS} days"
    top = f"At the top: {highest[2]}, on {highest[0]}."
    return f"Cost of {DAYS} days", _with_table(bars(label, values), top, label, rows, link(page, "Spend"))
