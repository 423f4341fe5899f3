"""Jobs in the admin: the list, and a job's page as its story."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from clusters.providers.errors import ProviderError
from controlplane.core.admin import ReadOnlyAdmin
from controlplane.core.errors import ControlPlaneError
from jobs import queries, services
from jobs.models import Error, Execution, Gate, Hold, Job, Lane, Place

LOG_TAIL_BYTES = 16_384


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> SafeString:
    """A small table; every cell is escaped."""
    head = format_html_join("", "<th scope='col'>{}</th>", ((text,) for text in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = (
        "uuid",
        "classification",
        "customer",
        "owner",
        "place",
        "status",
        "reason",
        "submitted_at",
        "ended_at",
    )
    list_filter = ("status",)
    search_fields = ("uuid__exact", "classification__startswith")
    search_help_text = "A job's whole id, or how its classification begins."
    list_select_related = ("customer", "owner", "place")
    ordering = ("-id",)
    actions = ("cancel", "retry")
    fields = (
        *("uuid", "classification", "customer", "owner", "place", "status", "reason", "waits_for", "error"),
        *("image", "command", "env_names", "tags", "vcpus_milli", "memory_mib", "priority", "queue"),
        *("timeout_seconds", "tries", "max_tries", "retry_of", "submitted_at", "started_at", "ended_at"),
        *("story", "executions", "log"),
    )
    readonly_fields = ("waits_for", "env_names", "story", "executions", "log")

    def get_urls(self) -> list[Any]:
        own = [
            path("<int:pk>/cancel/", self.admin_site.admin_view(self._cancel_one), name="jobs_job_cancel"),
            path("<int:pk>/retry/", self.admin_site.admin_view(self._retry_one), name="jobs_job_retry"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="waits for")
    def waits_for(self, job: Job) -> SafeString | str:
        reasons = queries.explain(job)
        rows = [(r.code, r.hint, r.since or "", "" if r.value is None else r.value, r.limit or "") for r in reasons]
        return _table(("Reason", "What frees it", "Since", "Now", "Limit"), rows) if rows else "nothing"

    @admin.display(description="environment")
    def env_names(self, job: Job) -> str:
        return "set; its values are shown only to its owner and operators, over the API" if job.env else "none"

    @admin.display(description="timeline")
    def story(self, job: Job) -> SafeString:
        rows = [
            (event.at, event.kind, (event.before or {}).get("status", ""), (event.after or {}).get("status", ""),
             (event.after or {}).get("reason", ""), event.actor or "the scheduler")
            for event in queries.timeline(job).select_related("actor")
        ]  # fmt: skip
        return _table(("At", "What", "From", "To", "Reason", "By"), rows)

    @admin.display(description="executions")
    def executions(self, job: Job) -> SafeString:
        rows = [
            (
                e.number,
                e.uuid,
                e.status,
                e.node,
                "" if e.exit_code is None else e.exit_code,
                e.detail,
                e.started_at,
                e.ended_at,
            )
            for e in queries.executions(job)
        ]
        return _table(("No.", "Id", "Status", "Node", "Exit code", "Detail", "Started", "Ended"), rows)

    @admin.display(description="log (its end)")
    def log(self, job: Job) -> SafeString | str:
        try:
            text = queries.log_tail(job, LOG_TAIL_BYTES)
        except ControlPlaneError as error:
            return error.message
        except ProviderError as error:
            return f"The provider does not give it: {error}"
        return format_html("<pre style='white-space: pre-wrap'>{}</pre>", text)

    def _say(self, request: HttpRequest, act: Any, job: Job) -> None:
        try:
            self.message_user(request, act(job, request.user), messages.SUCCESS)
        except ControlPlaneError as error:
            self.message_user(request, f"{job}: {error.message}", messages.ERROR)

    def _one(self, request: HttpRequest, pk: int, act: Any, permission: str) -> HttpResponse:
        if request.method != "POST" or not request.user.has_perm(permission):
            return HttpResponse(status=405 if request.method != "POST" else 403)
        job = Job.objects.select_related("customer", "place", "owner").filter(pk=pk).first()
        if job is None:
            return HttpResponse(status=404)
        self._say(request, act, job)
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[pk]))

    def _cancel_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._one(request, pk, _cancel, "jobs.cancel_job")

    def _retry_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._one(request, pk, _retry, "jobs.retry_job")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        moved = services.cancel_jobs(list(jobs.values_list("pk", flat=True)), actor=request.user)  # type: ignore[arg-type]
        self.message_user(request, f"{len(moved)} jobs are cancelled or asked to stop.", messages.SUCCESS)

    @admin.action(description="Retry as new jobs", permissions=["retry"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        for job in jobs.select_related("customer", "place", "owner"):
            self._say(request, _retry, job)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.cancel_job"))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.retry_job"))


def _cancel(job: Job, user: Any) -> str:
    moved = services.cancel_jobs([job.pk], actor=user)
    return f"{job} is {moved[job.pk]}." if moved else f"{job} has ended or is being stopped already."


def _retry(job: Job, user: Any) -> str:
    return f"{job} is submitted again as {services.retry_job(job, actor=user).uuid}."


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    list_display = ("uuid", "job", "number", "place", "status", "node", "exit_code", "started_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("job", "place")
    search_fields = ("uuid__exact",)
    ordering = ("-id",)


@admin.register(Place)
class PlaceAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "vcpus_milli", "memory_mib", "disk_free_mib", "runs_for", "seen_at")


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("code", "scope", "scope_id", "hint", "set_by", "since")
    list_select_related = ("set_by",)


@admin.register(Gate)
class GateAdmin(ReadOnlyAdmin):
    list_display = ("scope", "scope_id", "max_jobs", "max_vcpus_milli", "hint", "set_by", "since")
    list_select_related = ("set_by",)


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin):
    list_display = ("id", "place", "customer", "owner", "queue", "vcpus_milli", "memory_mib", "waiting", "held")
    list_select_related = ("place", "customer", "owner")


@admin.register(Error)
class ErrorAdmin(ReadOnlyAdmin):
    list_display = ("name", "title", "category", "should_be_retried", "is_builtin")
