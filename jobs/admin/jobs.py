"""The list of jobs, and a job's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.core.admin import when
from controlplane.core.keyset_admin import KeysetChangeList
from jobs.admin.badges import status_badge
from jobs.admin.filters import JOB_FILTERS, jobs_meant, selection_of
from jobs.admin.live import changes
from jobs.admin.steering import SteeringAdmin, allowed_verbs
from jobs.admin.story import story
from jobs.admin.submitting import SubmittingAdmin
from jobs.filters import listed
from jobs.following import Kind
from jobs.models import Job

_WITH = ("error", "failure_cluster", "retry_of", "job_type", "revision")
# Long, and not in the list.
NOT_LISTED = ("env", "secret_env", "command", "tags", "image", "input", "output", "configuration")


class JobChangeList(KeysetChangeList):
    """Jobs by falling id; those of one failure cluster by its index, which is in that order, too."""

    def _names(self) -> list[str]:
        clusters = self.filter_params.get("failure_cluster", ())
        return ["failure_cluster_id", "pk"] if len(clusters) == 1 else super()._names()


@admin.register(Job)
class JobAdmin(SubmittingAdmin, SteeringAdmin):
    list_display = (
        *("number", "classification", "customer", "place", "state", "reason", "priority", "submitted", "ended"),
    )
    list_display_links = ("number", "classification")
    list_filter = JOB_FILTERS
    search_fields = ("uuid",)
    search_help_text = "A whole uuid, an id, a customer's name, or how a class begins"
    list_select_related = ("customer", "place")
    fields = ("uuid",)
    history_of = "job"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return JobChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        rows = super().get_queryset(request)
        if request.resolver_match is not None and request.resolver_match.url_name == "jobs_job_changelist":
            return listed(rows, request.GET).defer(*NOT_LISTED)
        rows = rows.defer("failure_cluster__sample_log")
        return rows.select_related("customer", "owner", "place", "lane", *_WITH)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._changes)
        return [path("<int:pk>/changes/", view, name="jobs_job_changes"), *super().get_urls()]

    def _changes(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """What the page of a MapReduce job follows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return changes(request, Kind.MAPREDUCE, pk)

    @admin.display(description="status")
    def state(self, job: Job) -> SafeString:
        return status_badge(job.status)

    @admin.display(description="submitted")
    def submitted(self, job: Job) -> SafeString | str:
        return when(job.submitted_at)

    @admin.display(description="ended")
    def ended(self, job: Job) -> SafeString | str:
        return when(job.ended_at)

    @admin.display(description="id")
    def number(self, job: Job) -> SafeString:
        return format_html("<span title='{}'>{}</span>", job.uuid, job.pk)

    def search(self, rows: QuerySet[Job], term: str) -> QuerySet[Job]:
        return jobs_meant(rows, term)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "everything": self._everything(request)})

    def _everything(self, request: HttpRequest) -> list[tuple[str, str]]:
        """The verbs for all jobs of the present filter. A search is not a filter that bulk work knows."""
        selection = selection_of(request.GET)
        if not selection or request.GET.get("q") or not request.user.has_perm("jobs.add_operation"):
            return []
        query = request.GET.copy()
        for name in set(query) - set(selection):
            del query[name]
        return [
            (verb.label, f"{reverse(f'admin:jobs_job_matching_{verb.name}')}?{query.urlencode()}")
            for verb in allowed_verbs(request)
            if verb.kind is not None
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Job | None = None,
    ) -> HttpResponse:  # fmt: skip
        assert obj is not None  # nobody adds one here
        more = {**story(obj, request, request.user), "title": f"Job {obj.pk}", "subtitle": None}  # type: ignore[arg-type]
        return super().render_change_form(request, {**context, **more}, add, change, form_url, obj)
