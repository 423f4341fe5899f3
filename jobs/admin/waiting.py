"""Why work waits: the reasons there are now, and a page of each with all that it keeps back and what frees it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from controlplane.core.admin import link, table, when
from jobs import gates, queries, states
from jobs.admin.badges import status_badge
from jobs.models import Gate, Hold, Scope, Shape
from jobs.queries import FreedBy, Kept, WaitingReason

SHOWN: Final = 200  # rows of a page
CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
OTHERS_HOLD: Final = "A hold of this code, until somebody lifts it."
_PLAIN: Final = [shape for shape in Shape.values if shape != Shape.SEED]
_PAGES: Final = {
    Scope.PLACE: ("jobs.view_place", "admin:jobs_place_change", "The place"),
    Scope.JOB_TYPE: ("jobtypes.view_jobtype", "admin:jobtypes_jobtype_change", "The job type"),
    Scope.CUSTOMER: ("accounts.view_customer", "admin:accounts_customer_change", "The customer"),
}


def jobs_url(**wish: Any) -> str:
    """The job list with these filters."""
    return f"{reverse('admin:jobs_job_changelist')}?{urlencode(wish, doseq=True)}"


def reason_url(code: str) -> str:
    return reverse("admin:jobs_waiting_reason", args=[code])


def reason_link(code: str) -> SafeString | str:
    """The code, leading to its page; what is no code stays text."""
    return link(reason_url(code), code) if CODE.fullmatch(code) else code


def jobs_of_reason(reason: WaitingReason, **more: Any) -> str:
    """The job list with exactly what waits for a reason."""
    return jobs_url(reason=reason.code, state=sorted(reason.statuses), tasks="true", **more)


def meaning(code: str) -> str:
    return queries.MEANINGS.get(code, OTHERS_HOLD)


def lasted(begun: datetime) -> str:
    """How long it is since then, in words."""
    seconds = int((timezone.now() - begun).total_seconds())
    return timesince(begun, timezone.now()) if seconds >= 60 else f"{max(seconds, 0)} seconds"


def since(begun: datetime | None) -> SafeString | str:
    """How long ago, exactly on hover."""
    return format_html("<span title='{}'>{}</span>", f"{begun:%Y-%m-%d %H:%M:%S}", lasted(begun)) if begun else ""


# --- All reasons ---------------------------------------------------------------------------------


def waiting_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page of all reasons; `context` is that of every page of the site."""
    _check(request)
    found = queries.waiting_reasons(queries.Present())
    rows = [
        (
            reason_link(each.code),
            link(jobs_of_reason(each), each.jobs),
            len(each.customers),
            since(each.oldest),
            meaning(each.code),
        )
        for each in found
    ]
    more = {
        "title": "Why work waits",
        "line": "A job may wait for several reasons, and is counted with each. Tasks of MapReduce jobs are counted.",
        "sections": [("Reasons", table(("Reason", "Jobs", "Customers", "The oldest for", "What frees them"), rows))]
        if rows
        else [],
        "empty": "" if rows else "Nothing waits.",
    }
    return TemplateResponse(request, "admin/jobs/waiting.html", {**context, **more})


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm("jobs.view_job"):
        raise PermissionDenied


# --- One reason ----------------------------------------------------------------------------------


def reason_page(request: HttpRequest, code: str, context: dict[str, Any]) -> HttpResponse:
    """The page of a reason. One that keeps nothing back now says so: it may be bookmarked."""
    _check(request)
    if not CODE.fullmatch(code):
        raise Http404
    found = queries.held_back_by(code)
    total = found.total
    sections = [
        ("What frees them", _freed(request, code, found.freed_by)),
        ("What waits", _rows(code, found.rows)),
    ]
    more = {
        "title": f"Waiting: {code}",
        "line": meaning(code) if total.jobs or code in queries.MEANINGS else "",
        "back": reverse("admin:jobs_waiting"),
        "jobs": link(jobs_of_reason(total), f"{total.jobs} jobs") if total.jobs else "",
        "facts": f"of {len(total.customers)} customers, the oldest for {lasted(total.oldest)}" if total.oldest else "",
        "buttons": _buttons(request, code),
        "sections": sections,
        "empty": "" if total.jobs else "Nothing waits for this now.",
    }
    return TemplateResponse(request, "admin/jobs/waiting.html", {**context, **more})


def _rows(code: str, rows: list[Kept]) -> SafeString | str:
    shown = [
        (
            link(reverse("admin:accounts_customer_change", args=[row.customer_id]), row.customer),
            f"{row.cloud}/{row.region}",
            row.queue,
            _job_type(row),
            status_badge(row.status),
            link(_jobs_of(code, row), row.jobs),
            since(row.oldest),
            link(reverse("admin:jobs_job_change", args=[row.first]), row.first),
        )
        for row in rows[:SHOWN]
    ]
    if not shown:
        return ""
    heads = ("Customer", "Place", "Queue", "Job type", "Status", "Jobs", "The oldest for", "First job")
    left = len(rows) - SHOWN
    note = format_html("<p class='cp-note'>{} more rows, with fewer jobs each.</p>", left) if left > 0 else ""
    return format_html("{}{}", table(heads, shown), note)


def _job_type(row: Kept) -> SafeString | str:
    if row.job_type_id is None:
        return ""
    return link(reverse("admin:jobtypes_jobtype_change", args=[row.job_type_id]), row.job_type)


def _jobs_of(code: str, row: Kept) -> str:
    """The job list with exactly the jobs of a row."""
    where = {"customer": row.customer, "cloud": row.cloud, "region": row.region, "queue": row.queue}
    kind: dict[str, Any] = {"shape": _PLAIN} if row.job_type_id is None else {"job_type_id": row.job_type_id}
    return jobs_url(reason=code, state=row.status, tasks="true", **where, **kind)


# --- What frees them -----------------------------------------------------------------------------


def _freed(request: HttpRequest, code: str, freed_by: list[FreedBy]) -> SafeString | str:
    if not freed_by:
        return ""
    holds = {(hold.scope, hold.scope_id): hold.pk for hold in Hold.objects.filter(code=code).exclude(scope=Scope.JOB)}
    caps = {(cap.scope, cap.scope_id): cap.pk for cap in Gate.objects.all()} if code.startswith("CAP_") else {}
    rows = []
    for each in freed_by[:SHOWN]:
        reason, scope = each.reason, each.scope
        ways = _ways(request, code, scope, holds.get(scope), caps.get(scope))
        numbers = (each.jobs, when(reason.since), _text(reason.value), _text(reason.limit))
        rows.append((reason.hint, *numbers, reason.set_by or "", ways))
    return table(("What it is", "Jobs", "Since", "Now", "Limit", "Set by", "What you can do"), rows)


def _text(value: Any) -> Any:
    return "" if value is None else value


def _ways(
    request: HttpRequest, code: str, scope: gates.ScopeKey, hold: int | None, cap: int | None
) -> SafeString | str:
    """Where what covers `scope` is lifted, raised or looked at."""
    may, found = request.user.has_perm, []
    if hold is not None:
        if may("jobs.delete_hold"):
            found.append((reverse("admin:jobs_hold_remove", args=[hold]), "Lift the hold"))
        elif may("jobs.view_hold"):
            found.append((reverse("admin:jobs_hold_change", args=[hold]), "The hold"))
    if cap is not None and may("jobs.view_gate"):
        text = "Raise the quota" if may("jobs.change_gate") else "The quota"
        found.append((reverse("admin:jobs_gate_change", args=[cap]), text))
    if code == gates.BUDGET and may("billing.view_budget"):
        found.append((reverse("admin:billing_budget_changelist"), "Budgets"))
    permission, page, text = _PAGES.get(Scope(scope[0]), ("", "", ""))
    if page and may(permission):
        found.append((reverse(page, args=[scope[1]]), text))
    return format_html_join(" ", "<a class='cp-button' href='{}'>{}</a>", found)


def _buttons(request: HttpRequest, code: str) -> list[tuple[str, str]]:
    """What is for all that waits for a reason."""
    may = request.user.has_perm
    ways = {
        queries.HELD: ("jobs.view_hold", "Holds", "admin:jobs_hold_changelist"),
        queries.RETRY: ("jobtypes.view_error", "Errors, and which are retried", "admin:jobtypes_error_changelist"),
        **dict.fromkeys(
            ("WAITS_FOR_NODE", "PARENT_FAILED", "INPUT_MISSING"),
            ("jobs.view_recipe", "Recipes", "admin:jobs_recipe_changelist"),
        ),
    }
    permission, text, page = ways.get(code, ("", "", ""))
    return [(text, reverse(page))] if page and may(permission) else []


def kept_by(job_status: str, code: str) -> SafeString | str:
    """A reason of a job's explanation: of one that waits, it leads to all that waits so."""
    return reason_link(code) if job_status in states.WAITING else code
