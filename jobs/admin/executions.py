"""Executions: each try of each job."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.safestring import SafeString

from controlplane.core.admin import link
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin
from jobs import states
from jobs.admin.badges import status_badge
from jobs.models import Execution


class ExecutionStatusFilter(ChoiceFilter):
    title = "status"
    parameters = ("status",)
    words = tuple((state, state) for state in states.EXECUTION_STATES)


@admin.register(Execution)
class ExecutionAdmin(KeysetAdmin):
    list_display = ("uuid", "of_job", "number", "place", "state", "node", "exit_code", "started_at", "ended_at")
    list_filter = (ExecutionStatusFilter,)
    list_select_related = ("place",)
    search_fields = ("uuid",)
    search_help_text = "A whole uuid of an execution or a job, or a job's id"
    fields = (
        *("uuid", "of_job", "number", "place", "state", "node", "exit_code", "detail", "error", "logs_kept"),
        *("created_at", "started_at", "ended_at", "price_offer", "price_rate", "price_source"),
    )
    readonly_fields = ("of_job", "state")

    @admin.display(description="job")
    def of_job(self, execution: Execution) -> SafeString:
        return link(reverse("admin:jobs_job_change", args=[execution.job_id]), execution.job_id)

    @admin.display(description="status")
    def state(self, execution: Execution) -> SafeString:
        return status_badge(execution.status)

    def search(self, rows: QuerySet[Execution], term: str) -> QuerySet[Execution]:
        try:
            key: Any = read_reference(term)
        except ValueError:
            return rows.none()
        if isinstance(key, int):
            return rows.filter(job_id=key)
        of_job = Execution.objects.filter(job__uuid=key).values("pk")
        return rows.filter(Q(uuid=key) | Q(pk__in=of_job))
