"""What is common to all admin pages."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from jobs import queries
from jobs.models import RunsFor


class ControlPlaneAdminSite(admin.AdminSite):
    """The admin, with a banner when this machine runs jobs without isolation."""

    site_header = "Control plane for compute"
    site_title = "Control plane"
    index_title = "What is where"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        place = queries.find_place("local", settings.LOCAL_REGION)
        unisolated = place is not None and place.seen_at is not None and place.runs_for != RunsFor.EVERYONE
        return {**super().each_context(request), "unisolated": unisolated, "place": place}


def hide_task_tables(site: admin.AdminSite) -> None:
    """django-q2's rows hold pickles that workers run: nobody edits them through the admin."""
    for model in (Success, Failure, Schedule, OrmQ):
        if site.is_registered(model):
            site.unregister(model)
