"""Clusters of failures: what goes wrong most, whose jobs, a sample; requeue them, or say what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.core.admin import ServiceForm, badge, link, when
from controlplane.core.admin_filters import ChoiceFilter, ParameterFilter, TextFilter
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.keyset_admin import KeysetAdmin, KeysetChangeList
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form, posted
from jobs import queries, services
from jobs.admin import failure_story
from jobs.filters import FailureClusterFilter
from jobs.models import FailureCluster
from jobtypes.models import Category, Error

COUNTED: Final = 1000  # jobs that are failed now, of each row of the list
ERRORS: Final = 500  # to choose from
YES_OR_NO: Final = (("true", "yes"), ("false", "no"))


# --- The list ------------------------------------------------------------------------------------


class _OfClusters(ParameterFilter):
    """Narrows as the native API does; what that refuses is said, and matches nothing."""

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        data = QueryDict(mutable=True)
        for name, given in self.values.items():
            data.setlist(name, given)
        found = FailureClusterFilter(data, queryset=rows)
        if found.is_valid():
            return found.qs
        for faults in found.faults().values():
            messages.error(request, f"{self.title}: {faults[0]}")
        return rows.none()


class OpenFilter(_OfClusters, ChoiceFilter):
    title = "some failed now"
    parameters = ("is_open",)
    words = YES_OR_NO


class CategoryFilter(_OfClusters, ChoiceFilter):
    title = "category of error"
    parameters = ("error_category",)
    words = tuple(Category.choices)


class NamedFilter(_OfClusters, ChoiceFilter):
    title = "named by staff"
    parameters = ("is_named",)
    words = YES_OR_NO


class ErrorFilter(_OfClusters, TextFilter):
    title = "error, its id"
    parameters = ("error_id",)


class _Counted(KeysetChangeList):
    """A page of clusters with their numbers: three statements, whatever the rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = [row.pk for row in self.result_list]
        now, lately = queries.failed_now(ids, COUNTED), queries.failed_lately(ids)
        breadths = queries.breadths(ids)
        for row in self.result_list:
            row.now, row.lately = now.get(row.pk, 0), lately.get(row.pk, 0)
            row.breadth = breadths.get(row.pk, queries.Breadth(0, 0))


# --- What is done to one -------------------------------------------------------------------------


class NameForm(ServiceForm):
    """A new error, or one that staff have named before."""

    error_id = forms.ChoiceField(
        label="An error that is there", required=False, help_text="Named by staff before. Or, below, a new one."
    )
    name = forms.CharField(
        max_length=64, required=False, help_text="Lower-case words joined by dashes; it stays as it is."
    )
    title = forms.CharField(max_length=128, required=False)
    description = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    category = forms.ChoiceField(choices=[("", "–"), *Category.choices], required=False, help_text="Whose fault it is.")
    should_be_retried = forms.BooleanField(
        required=False, help_text="Take jobs that fail so later back into the queue while they have tries left."
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        errors = Error.objects.filter(is_builtin=False, job_type_name="").order_by("name")
        choices = [(str(pk), f"{name} ({category})") for pk, name, category in errors.values_list(*_CHOSEN)[:ERRORS]]
        self.fields["error_id"].choices = [("", "a new one"), *choices]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        needed = () if given.get("error_id") else ("name", "title", "category")
        for name in needed:
            if not given.get(name) and name not in self.errors:
                self.add_error(name, "A new error has one.")
        return given


_CHOSEN: Final = ("pk", "name", "category")


def _error_of(row: FailureCluster, state: Mapping[str, Any]) -> dict[str, Any]:
    """What NameForm begins with to give these failures again the error that they had."""
    found = Error.objects.filter(name=state.get("error") or "", is_builtin=False, job_type_name="").first()
    return {"error_id": str(found.pk)} if found else {}


def _name(request: HttpRequest, row: FailureCluster, wish: dict[str, Any], form: Any) -> str:
    error_id = wish.pop("error_id")
    said = {"error_id": int(error_id)} if error_id else wish
    named = services.name_cluster(row.pk, actor=request.user, **said).named  # type: ignore[arg-type]
    assert named is not None
    return f"These failures are {named} now. Jobs that are failed get that in the background."


def _unname(request: HttpRequest, row: FailureCluster, wish: dict[str, Any], form: Any) -> str:
    services.unname_cluster(row.pk, actor=request.user)  # type: ignore[arg-type]
    return "Failures keep the error they end with, from now on."


@admin.register(FailureCluster)
class FailureClusterAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Read by all staff, named by admins and operators."""

    list_display = (
        *("what", "error", "category", "failed_now", "in_24_hours", "total", "customers", "job_types"),
        *("first", "last"),
    )
    list_filter = (OpenFilter, CategoryFilter, NamedFilter, ErrorFilter)
    keyset_moment = "last_seen"
    fields = ("title",)
    history_of = "failure_cluster"

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailureCluster]:
        rows = super().get_queryset(request).select_related("error", "named")
        match = request.resolver_match
        in_list = match is not None and match.url_name == "jobs_failurecluster_changelist"
        return rows.defer("sample_log") if in_list else rows.select_related("named_by", "sample_job")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return _Counted

    @admin.display(description="what they have in common")
    def what(self, row: FailureCluster) -> SafeString:
        return format_html("<span class='cp-code'>{}</span>", row.title)

    @admin.display(description="error")
    def error(self, row: FailureCluster) -> SafeString | str:
        return badge(str(row.named), "busy") if row.named else str(row.error or "")

    @admin.display(description="category")
    def category(self, row: FailureCluster) -> str:
        return row.means.category if row.means else ""

    @admin.display(description="failed now")
    def failed_now(self, row: Any) -> SafeString | int:
        number: int = row.now
        return (
            link(failure_story.jobs_url(row.pk, failed=True), failure_story.bounded(number, COUNTED)) if number else 0
        )

    @admin.display(description="in 24 hours")
    def in_24_hours(self, row: Any) -> int:
        number: int = row.lately
        return number

    @admin.display(description="customers")
    def customers(self, row: Any) -> int:
        number: int = row.breadth.customers
        return number

    @admin.display(description="job types")
    def job_types(self, row: Any) -> int:
        number: int = row.breadth.job_types
        return number

    @admin.display(description="first")
    def first(self, row: FailureCluster) -> SafeString | str:
        return when(row.first_seen)

    @admin.display(description="last")
    def last(self, row: FailureCluster) -> SafeString | str:
        return when(row.last_seen)

    def detail(self, request: HttpRequest, row: FailureCluster) -> Detail:
        return failure_story.detail(row)

    def buttons(self, request: HttpRequest, row: FailureCluster) -> list[tuple[str, str]]:
        """To requeue these is bulk work, which has its page before."""
        may = request.user.has_perm("jobs.requeue_job") and request.user.has_perm("jobs.add_operation")
        is_of_data = row.means is not None and row.means.category == Category.DATA
        requeue = [("Requeue these", failure_story.requeue_url(row.pk))] if may and not is_of_data else []
        return [*requeue, *super().buttons(request, row)]

    def configuration(self, row: FailureCluster) -> dict[str, Any]:
        return services.facts_of_failures(row)

    def row_pages(self) -> Sequence[RowPage]:
        return (
            RowPage(
                name="name",
                label="Name this error",
                allowed=lambda request, row: (
                    self.may_change(request, row) and request.user.has_perm("jobtypes.add_error")
                ),
                act=_name,
                form=lambda request, row: NameForm(posted(request)),
                title="{label}: {row}",
                button="Name it",
                warning=lambda request, row: "Its failed jobs get this error, and all that fail so later.",
                restores=_error_of,
            ),
            RowPage(
                name="unname",
                label="Take the name away",
                allowed=lambda request, row: self.may_change(request, row) and row.named is not None,
                act=_unname,
                form=plain_form,
                warning=lambda request, row: (
                    "What fails so later keeps the error it ends with. What was given the name keeps that."
                ),
                sets={"error": None},
            ),
        )
