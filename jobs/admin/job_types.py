"""Job types in the admin: registered, configured, paused, deprecated, and compared with what they were.

They stand here and not in jobtypes, since what staff look for first is how their jobs stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from controlplane.core.admin import stamp_of, when
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.history import Past
from controlplane.core.service_admin import RowPage, ServiceAdmin, filled, plain_form, posted, same_names
from jobs.admin import job_type_pages
from jobs.admin.job_type_forms import (
    ConfigurationForm,
    ManifestForm,
    NewJobTypeForm,
    OptionsForm,
    options_of,
    restored_configuration,
)
from jobs.admin.policy_forms import PolicyForm
from jobs.admin.submitting import submit_url
from jobs.queries import policy_of_job_type
from jobs.queries.statistics import counts_of
from jobs.services import clear_job_type_policy, set_job_type_policy
from jobtypes import queries, services
from jobtypes.models import JobType
from jobtypes.queries.affected import affected_by_job_type
from jobtypes.seed.configuration import read_configuration
from jobtypes.seed.manifest import read_manifest
from jobtypes.seed.verdicts import listed


class _Counted(ChangeList):
    """A page of job types with the numbers of their jobs, which one statement reads for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        numbers = counts_of([row.pk for row in rows]) if rows else {}
        for row in rows:
            row.job_counts = numbers[row.pk]
        self.result_list = rows


@admin.register(JobType)
class JobTypeAdmin(DetailAdmin, ServiceAdmin):
    list_display = ("name", "version", "title", "state", "revision", "cap", "jobs", "edited")
    list_filter = ("is_active", "is_paused", "is_published", "is_system")
    search_fields = ("^name", "title")
    search_help_text = "How a name begins, or a part of a title"
    ordering = ("name", "-version_key")
    history_of = "job_type"
    add_form = NewJobTypeForm
    change_form = OptionsForm

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _Counted

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobType]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        in_list = match is not None and match.url_name == "jobtypes_jobtype_changelist"
        return rows.defer(*queries.DOCUMENTS) if in_list else rows

    @admin.display(description="state")
    def state(self, job_type: JobType) -> SafeString:
        return format_html_join(" ", "{}", ((mark,) for mark in job_type_pages.badges(job_type)))

    @admin.display(description="revision", ordering="revision_num")
    def revision(self, job_type: JobType) -> int:
        return job_type.revision_num

    @admin.display(description="most at a time", ordering="max_scheduled")
    def cap(self, job_type: JobType) -> int | None:
        return job_type.max_scheduled

    @admin.display(description="edited", ordering="modified_at")
    def edited(self, job_type: JobType) -> SafeString | str:
        return when(job_type.modified_at)

    @admin.display(description="jobs")
    def jobs(self, job_type: Any) -> SafeString | str:
        return job_type_pages.counts(job_type.pk, job_type.job_counts)

    def detail(self, request: HttpRequest, row: JobType) -> Detail:
        return job_type_pages.detail(row)

    # --- Registering ---------------------------------------------------------------------------------

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> services.Saved:
        return services.create_job_type(actor=request.user, **wish)  # type: ignore[arg-type]

    def added(self, request: HttpRequest, made: services.Saved) -> HttpResponse:
        if made.created:
            self.message_user(request, f"Registered: {made.job_type}.", messages.SUCCESS)
        else:
            self.message_user(request, f"{made.job_type} was there already, and is edited.", messages.SUCCESS)
        self.warn(request, made.verdict)
        return HttpResponseRedirect(reverse("admin:jobtypes_jobtype_change", args=[made.job_type.pk]))

    def check_add(self, request: HttpRequest, wish: Mapping[str, Any]) -> services.Verdict:
        return services.validate_job_type(wish["manifest"], wish["configuration"], user=request.user)  # type: ignore[arg-type]

    # --- What is done to one -------------------------------------------------------------------------

    def buttons(self, request: HttpRequest, row: JobType) -> list[tuple[str, str]]:
        if not (row.is_active and request.user.has_perm("jobs.add_job")):
            return super().buttons(request, row)
        return [("Submit a job", f"{submit_url('seed')}?job_type={row.pk}"), *super().buttons(request, row)]

    def may_change(self, request: HttpRequest, row: JobType) -> bool:
        return not row.is_system and super().may_change(request, row)

    def row_pages(self) -> Sequence[RowPage]:
        def flag(name: str, label: str, field: str, value: bool, warning: Any) -> RowPage:
            """A page that sets a flag, where it is not set so already. Only a pause is for the system's own, too."""

            def allowed(request: HttpRequest, row: JobType) -> bool:
                may = self.permitted(request, "change") if field == "is_paused" else self.may_change(request, row)
                return may and getattr(row, field) is not value

            def act(request: HttpRequest, row: JobType, wish: dict[str, Any], form: Any) -> str:
                self.warn(request, services.edit_job_type(row, actor=request.user, **{field: value}))  # type: ignore[arg-type]
                return f"{label}: {row}."

            return RowPage(name, label, allowed, act, plain_form, warning=warning, sets={field: value})

        return (
            *super().row_pages(),
            RowPage(
                name="revise",
                label="New revision",
                allowed=self.may_change,
                act=self._revise,
                form=_manifest_form,
                **_saved("New revision of {row}", "Jobs that are submitted already keep the revision they have."),
                check=self._check_revision,
                restores=job_type_pages.restored_revision,
            ),
            RowPage(
                name="configure",
                label="Configure",
                allowed=self.may_change,
                act=self._configure,
                form=_configuration_form,
                **_saved("Configure {row}", "It takes the place of the whole present configuration."),
                check=self._check_configuration,
                restores=restored_configuration,
            ),
            RowPage(
                name="policy",
                label="Policy",
                allowed=lambda request, row: self.permitted(request, "change"),
                act=self._set_policy,
                form=filled(PolicyForm, _policy_of),
                **_saved(
                    "Policy of the jobs of {row}", "For jobs submitted from now on that ask for none of their own."
                ),
                restores=same_names(PolicyForm),
            ),
            flag("pause", "Pause", "is_paused", True, lambda request, row: "Its jobs wait; what runs goes on."),
            flag("resume", "Resume", "is_paused", False, lambda request, row: "Its jobs that wait may start."),
            flag("deprecate", "Deprecate", "is_active", False, _what_goes_with_it),
            flag(
                "reactivate",
                "Reactivate",
                "is_active",
                True,
                lambda request, row: "There may be new jobs of it. Recipe types that went with it stay as they are.",
            ),
        )

    def change(self, request: HttpRequest, row: JobType, wish: dict[str, Any], form: Any) -> None:
        self.warn(request, services.edit_job_type(row, actor=request.user, **wish))  # type: ignore[arg-type]

    def initial(self, row: JobType) -> dict[str, Any]:
        return options_of(row)

    def _set_policy(self, request: HttpRequest, row: JobType, wish: dict[str, Any], form: PolicyForm) -> str:
        actor: Any = request.user  # the admin lets nobody else in
        if wish["policy"] is None:
            clear_job_type_policy(row, actor=actor)
            return f"{row} has no policy of its own now."
        set_job_type_policy(row, wish["policy"], actor=actor)
        return f"The policy of {row} is set."

    def _revise(self, request: HttpRequest, row: JobType, wish: dict[str, Any], form: ManifestForm) -> str:
        wishes = {name: wish[name] for name in ("docker_image", "manifest", "auto_update")}
        self.warn(request, services.edit_job_type(row, actor=request.user, **wishes))  # type: ignore[arg-type]
        return f"{row} has a revision {row.revision_num} now."

    def _check_revision(self, request: HttpRequest, row: JobType, wish: dict[str, Any]) -> services.Verdict:
        return services.validate_edit(row, user=request.user, manifest=wish["manifest"])  # type: ignore[arg-type]

    def _configure(self, request: HttpRequest, row: JobType, wish: dict[str, Any], form: ConfigurationForm) -> str:
        verdict = services.edit_job_type(row, actor=request.user, configuration=form.configuration())  # type: ignore[arg-type]
        self.warn(request, verdict)
        return f"Configured: {row}."

    def _check_configuration(self, request: HttpRequest, row: JobType, wish: dict[str, Any]) -> services.Verdict:
        form = _configuration_form(request, row)
        form.is_valid()
        return services.validate_edit(row, user=request.user, configuration=form.configuration())  # type: ignore[arg-type]

    # --- As it was -----------------------------------------------------------------------------------

    def configuration(self, row: JobType) -> dict[str, Any]:
        policy = policy_of_job_type(row.pk)
        return {**services.facts_of_job_type(row), "policy": policy.policy.document if policy else None}

    def around(
        self, request: HttpRequest, row: JobType, past: Past, at: int | datetime
    ) -> list[tuple[str, SafeString | str]]:
        return [("Its manifest then", job_type_pages.revision_then(row, (past.state or {}).get("revision_num")))]

    # --- Revisions -----------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._compare)
        return [path("<int:pk>/compare/", view, name="jobtypes_jobtype_compare"), *super().get_urls()]

    def _compare(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self._row(request, pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Revisions of {row.name}",
            **job_type_pages.comparison(row, request.GET),
        }
        return TemplateResponse(request, "admin/jobtypes/compare.html", context)


def _saved(title: str, warning: str) -> dict[str, Any]:
    """What pages with a form have in common."""
    return {"title": title, "button": "Save", "warning": lambda request, row: warning}


def _policy_of(row: JobType) -> dict[str, Any]:
    found = policy_of_job_type(row.pk)
    return {"policy": found.policy.document if found else None}


def _manifest_form(request: HttpRequest, row: JobType) -> ManifestForm:
    initial = {"seen": stamp_of(row), "docker_image": row.docker_image, "manifest": row.manifest, "auto_update": True}
    return ManifestForm(posted(request), initial=initial)


def _configuration_form(request: HttpRequest, row: JobType) -> ConfigurationForm:
    return ConfigurationForm(
        posted(request),
        manifest=read_manifest(row.manifest),
        present=read_configuration(row.configuration).document(),
        secrets=frozenset(row.secret_settings.values_list("name", flat=True)),
        seen=stamp_of(row),
    )


def _what_goes_with_it(request: HttpRequest, row: JobType) -> str:
    said = "There are no new jobs of it from then on; those that are submitted already run."
    names = affected_by_job_type(row)
    return f"{said} These recipe types go with it: {listed(names)}." if names else said
