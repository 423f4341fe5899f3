"""Bulk work: how far it is, what failed, and the button that stops it."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.core.admin import link, table, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from jobs import services, states
from jobs.admin.badges import status_badge
from jobs.models import Kind, Operation, OperationFailure

FAILURES_SHOWN: Final = 100


class OperationStatusFilter(ChoiceFilter):
    title = "status"
    parameters = ("status",)
    words = tuple((state, state) for state in states.OPERATION_STATES)


class KindFilter(ChoiceFilter):
    title = "kind"
    parameters = ("kind",)
    words = tuple(Kind.choices)


@admin.register(Operation)
class OperationAdmin(KeysetAdmin):
    list_display = ("id", "kind", "state", "total", "done", "failed", "created_by", "created_at", "ended_at")
    list_display_links = ("id", "kind")
    list_filter = (OperationStatusFilter, KindFilter)
    fields = ("kind",)
    history_of = "operation"

    def get_urls(self) -> list[Any]:
        own = [
            path("<int:pk>/progress/", self.admin_site.admin_view(self._progress), name="jobs_operation_progress"),
            path("<int:pk>/stop/", self.admin_site.admin_view(self._stop), name="jobs_operation_stop"),
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        return super().get_queryset(request).select_related("created_by")

    @admin.display(description="status")
    def state(self, operation: Operation) -> SafeString:
        return status_badge(operation.status)

    def _operation(self, pk: int) -> Operation:
        found = Operation.objects.filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def _progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the page's script asks for, again and again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        answer = JsonResponse(_how_far(self._operation(pk)))
        answer["Cache-Control"] = "no-store"
        return answer

    def _stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("jobs.stop_operation"):
            raise PermissionDenied
        try:
            operation = services.stop_operation(self._operation(pk), actor=request.user)  # type: ignore[arg-type]
            self.message_user(request, f"The operation is {operation.status}.", messages.SUCCESS)
        except ControlPlaneError as error:
            self.message_user(request, error.message, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:jobs_operation_change", args=[pk]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Operation | None = None,
    ) -> HttpResponse:  # fmt: skip
        assert obj is not None  # nobody adds one here
        lives = obj.status not in states.OPERATION_FINAL
        words = [f"{name}: {_some(given)}" for name, given in obj.selection.items()]
        more = {
            "operation": obj,
            "title": f"Operation {obj.pk}: {obj.get_kind_display()}",
            "subtitle": None,
            "badge": status_badge(obj.status),
            "progress": _how_far(obj),
            "url": reverse("admin:jobs_operation_progress", args=[obj.pk]) if lives else "",
            "may_stop": lives and obj.status != states.STOPPING and request.user.has_perm("jobs.stop_operation"),
            "facts": [
                ("Jobs that match", "; ".join(words)),
                *((name.capitalize(), value) for name, value in obj.parameters.items()),
                ("Started by", obj.created_by),
                ("Asked for", when(obj.created_at)),
                ("Started", when(obj.started_at)),
                ("Ended", when(obj.ended_at)),
            ],
            "failures": _failures(obj),
        }
        return super().render_change_form(request, {**context, **more}, add, change, form_url, obj)


def _some(given: list[str]) -> str:
    return ", ".join(given[:20]) + (f" and {len(given) - 20} more" if len(given) > 20 else "")


def _how_far(operation: Operation) -> dict[str, Any]:
    return {
        "status": operation.status,
        "total": operation.total,
        "done": operation.done,
        "failed": operation.failed,
        "ended": operation.status in states.OPERATION_FINAL,
    }


def _failures(operation: Operation) -> SafeString | str:
    found = list(operation.failures.order_by("job_id")[: FAILURES_SHOWN + 1])
    if not found:
        return ""
    rows = [
        (link(reverse("admin:jobs_job_change", args=[each.job_id]), each.job_id), each.code, each.message)
        for each in found[:FAILURES_SHOWN]
    ]
    shown = table(("Job", "Code", "What was wrong"), rows)
    if len(found) <= FAILURES_SHOWN:
        return shown
    url = f"{reverse('admin:jobs_operationfailure_changelist')}?operation={operation.pk}"
    return format_html("<p>{}</p>{}", link(url, f"The first {FAILURES_SHOWN}; all of them"), shown)


class OperationFilter(TextFilter):
    title = "operation, its id"
    parameters = ("operation",)

    def narrow(self, request: HttpRequest, rows: Any) -> Any:
        ids = [int(each) for each in self.values["operation"] if each.isascii() and each.isdigit() and len(each) < 19]
        return rows.filter(operation__in=ids)


@admin.register(OperationFailure)
class OperationFailureAdmin(KeysetAdmin):
    list_display = ("id", "of_operation", "of_job", "code", "message")
    list_filter = (OperationFilter,)
    fields = ("of_operation", "of_job", "code", "message")
    readonly_fields = ("of_operation", "of_job")

    @admin.display(description="operation")
    def of_operation(self, failure: OperationFailure) -> SafeString:
        return link(reverse("admin:jobs_operation_change", args=[failure.operation_id]), failure.operation_id)

    @admin.display(description="job")
    def of_job(self, failure: OperationFailure) -> SafeString:
        return link(reverse("admin:jobs_job_change", args=[failure.job_id]), failure.job_id)
