"""Executions: each try of each job."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from controlplane.core.admin import facts, link, link_out, when
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin
from jobs import following, states
from jobs.admin.badges import status_badge
from jobs.models import Execution


class ExecutionStatusFilter(ChoiceFilter):
    title = "status"
    parameters = ("status",)
    words = tuple((state, state) for state in states.EXECUTION_STATES)


@admin.register(Execution)
class ExecutionAdmin(DetailAdmin, KeysetAdmin):
    list_display = ("uuid", "of_job", "number", "place", "state", "node", "exit_code", "started_at", "ended_at")
    list_filter = (ExecutionStatusFilter,)
    list_select_related = ("place",)
    search_fields = ("uuid",)
    search_help_text = "A whole uuid of an execution or a job, or a job's id"
    fields = ("uuid",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        in_list = match is not None and match.url_name == "jobs_execution_changelist"
        return rows if in_list else rows.select_related("place", "error")

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

    def detail(self, request: HttpRequest, row: Execution) -> Detail:
        return Detail(
            title=f"Execution {row.pk}",
            badges=[status_badge(row.status)],
            line=row.detail,
            cards=(("The execution", self._facts(row)), ("Its price", _price(row))),
        )

    def _facts(self, row: Execution) -> SafeString | str:
        return facts(
            (
                ("UUID", row.uuid),
                ("Job", self.of_job(row)),
                ("Try", row.number),
                ("Place", link(reverse("admin:jobs_place_change", args=[row.place_id]), row.place)),
                ("Node", row.node),
                ("Name at the cloud", row.handle),
                ("At the cloud", _at_cloud(row)),
                ("Exit code", row.exit_code),
                ("Error", row.error),
                ("Output", "" if row.logs_kept else "deleted"),
                ("Made", when(row.created_at)),
                ("Started", when(row.started_at)),
                ("Ended", when(row.ended_at)),
            )
        )


def _at_cloud(row: Execution) -> SafeString | str:
    url = following.link_of(row)
    return link_out(url, "its page") if url else ""


def _price(row: Execution) -> SafeString | str:
    rate = f"{row.price_rate.normalize():f} USD per hour" if row.price_rate is not None else ""
    return facts((("Offer", row.price_offer), ("Rate", rate), ("Source", row.price_source)))
