"""The front page of the admin: what is wrong, why, what it costs, and which button mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import ApiToken
from clusters.models import Price, Source
from controlplane.dashboards.cards import cards
from controlplane.dashboards.day import charts
from controlplane.dashboards.found import Found
from controlplane.dashboards.needs import needs
from jobs.models import Job

EVERY_SECONDS: Final = 10
# What a new deployment lacks: is it there, who may do it, what it is called, where it is done.
_PRICES: Final = Price.objects.exclude(source__in=(Source.EXAMPLE, Source.DEFAULT))
_STEPS: Final = (
    (ApiToken.objects.all(), "accounts.add_apitoken", "Make a token for a program", "accounts_apitoken_add"),
    (_PRICES, "clusters.add_price", "Set a price, on the page of an offer", "clusters_offer_changelist"),
    (Job.objects.all(), "jobs.add_job", "Submit a job", "jobs_job_add"),
)


def front_page(request: HttpRequest, context: Callable[[HttpRequest], dict[str, Any]]) -> TemplateResponse:
    """The page; `context` makes that of every page of the site."""
    found = Found(request.user)  # type: ignore[arg-type]
    more = {
        "found": found,
        "needs": needs(found),
        "counted_at": found.present.counted_at if found.user.has_perm("jobs.view_job") else None,
        "cards": cards(found),
        "charts": charts(found),
        "steps": _steps(found),
    }
    more |= {"title": "On call", "subtitle": None, "every": EVERY_SECONDS}
    return TemplateResponse(request, "admin/front.html", {**context(request), **more})


def _steps(found: Found) -> list[tuple[str, str, bool]]:
    """(What to do, where, is it done) as long as there is no job; those that the reader may do."""
    if Job.objects.exists():
        return []
    return [
        (text, reverse(f"admin:{page}") if found.user.has_perm(permission) else "", there.exists())
        for there, permission, text, page in _STEPS
    ]
