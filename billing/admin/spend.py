"""What a month costs, by day and by customer; every number leads to what it adds up."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from billing import money, queries
from billing.admin.filters import parse_day
from billing.admin.story import bills_url, month_text, note, records_url
from billing.hours import month_of, next_month, parse_month
from billing.queries import Spend
from controlplane.core.admin import link, table
from controlplane.core.charts import bars


def spend_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page; `context` is that of every page of the site."""
    if not request.user.has_perm("billing.view_usagerecord"):
        raise PermissionDenied
    month, day = _chosen(request)
    found = queries.spend_of(month, day)
    text = month_text(month)
    sections = [
        (f"By customer, on {day}" if day else "By customer", _customers(found, month, day)),
        ("By day", _days(found, month)),
    ]
    more = {
        "title": f"Spend of {text}",
        "month": text,
        "day": day,
        "total": money.text(found.total_nano),
        "records": records_url(month=text, **({"day": day} if day else {})),
        "bills": bills_url(month=text),
        "whole": spend_url(month=text),
        "around": _around(month),
        "chart": "" if day or not found.by_day else _chart(found, month),
        "sections": sections,
    }
    return TemplateResponse(request, "admin/billing/spend.html", {**context, **more})


def spend_url(**wish: Any) -> str:
    return f"{reverse('admin:billing_spend')}?{urlencode(wish)}"


def _chosen(request: HttpRequest) -> tuple[date, date | None]:
    """The month and the day that the address names; without any, this month."""
    month, day = request.GET.get("month", ""), request.GET.get("day", "")
    found, on = parse_month(month), parse_day(day)
    if (month and found is None) or (day and on is None):
        messages.error(request, "This is no month, such as 2026-03, or no day of it.")
    return found or (on.replace(day=1) if on else month_of(timezone.now())), on


def _around(month: date) -> list[tuple[str, str]]:
    """The months before and after, where there is something or has been."""
    used = queries.months_used()
    if used is None:
        return []
    first, last = used
    before, after = (month - timedelta(days=1)).replace(day=1), next_month(month)
    shown = [(f"‹ {month_text(before)}", before)] if before >= first else []
    shown += [(f"{month_text(after)} ›", after)] if after <= last else []
    return [(text, spend_url(month=month_text(each))) for text, each in shown]


def _chart(found: Spend, month: date) -> SafeString:
    end = next_month(month)
    days = [month + timedelta(days=each) for each in range((end - month).days)]
    values = [(f"{day}", cost := found.by_day.get(day, 0), f"{money.text(cost)} USD") for day in days]
    most = max(values, key=lambda each: each[1])
    drawn = bars(f"USD by day of {month_text(month)}, {money.text(found.total_nano)} in all", values)
    return format_html("{}<p class='cp-note'>At the top: {}, on {}.</p>", drawn, most[2], most[0])


def _days(found: Spend, month: date) -> SafeString | str:
    rows = [
        (
            link(spend_url(month=month_text(month), day=day), day),
            link(records_url(month=month_text(month), day=day), money.text(cost)),
            "" if day.replace(day=1) == month else "used earlier, metered or corrected later",
        )
        for day, cost in found.by_day.items()
    ]
    return table(("Day", "USD", ""), rows) if rows else ""


def _customers(found: Spend, month: date, day: date | None) -> SafeString | str:
    wish = {"month": month_text(month), **({"day": day} if day else {})}
    rows: list[tuple[Any, ...]] = []
    for each in found.by_customer:
        cost = money.text(each.cost_nano)
        if each.customer is None:
            rows.append(("nobody's", cost, _share(each.cost_nano, found.total_nano), each.records))
            continue
        records = records_url(customer=each.customer.name, **wish)
        page = reverse("admin:accounts_customer_change", args=[each.customer.pk])
        share = _share(each.cost_nano, found.total_nano)
        rows.append((link(page, each.customer), link(records, cost), share, link(records, each.records)))
    if found.others_nano is not None:
        others = found.others_nano
        rows.append(("all others", money.text(others), _share(others, found.total_nano), ""))
    if not rows:
        return note("Nothing was used.")
    return format_html("{}", table(("Customer", "USD", "Share", "Records"), rows))


def _share(part: int, whole: int) -> str:
    return f"{part * 1000 // whole / 10:.1f} %" if whole > 0 else ""
