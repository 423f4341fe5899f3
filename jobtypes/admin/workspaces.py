"""Workspaces: where files lie. A storage is tried before it is saved, and no secret is ever shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from controlplane.core.admin import JsonField, SeenForm, ServiceForm, badge, facts, link, shown_json, when
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form
from controlplane.core.storage import StorageError, masked
from jobtypes import services
from jobtypes.models import Workspace
from jobtypes.queries import workspace_configuration

TRIED: Final = "A small file is written to its storage, read and deleted."
UNREADABLE: Final = (
    "No present key reads the stored configuration. Bring back the key that it was stored with (ENCRYPTION_KEYS), or "
    "give the configuration anew."
)
SHAPES: Final = format_html(
    "{}<pre class='cp-log'>{}\n{}\n{}</pre>{}",
    "A folder of this machine, an S3 bucket or an Azure container:",
    '{"broker": {"type": "host", "host_path": "/data/files"}}',
    '{"broker": {"type": "s3", "bucket_name": "in", "region_name": "eu-west-1", "prefix": "raw", "credentials": '
    '{"access_key_id": "…", "secret_access_key": "…"}}}',
    '{"broker": {"type": "azure", "account_url": "https://acme.blob.core.windows.net", "container_name": "in", '
    '"credentials": {"account_name": "acme", "account_key": "…"}}}',
    "prefix and credentials may be left out: without credentials, this machine's own are used. Other addresses and "
    f"folders than usual are for whoever runs the service to allow. Check tries it: {TRIED[0].lower()}{TRIED[1:]}",
)


class WorkspaceForm(ServiceForm):
    title = forms.CharField(max_length=128)
    description = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}), required=False)
    base_url = forms.URLField(
        label="Base URL",
        max_length=500,
        required=False,
        assume_scheme="https",
        help_text="Where a web server of yours shows its files.",
    )
    configuration = JsonField(
        rows=10,
        required=False,
        help_text=format_html("Empty: as it is. A secret that is ***** stays what it is. {}", SHAPES),
    )


class EditWorkspaceForm(WorkspaceForm, SeenForm):
    """What may be changed of one."""


class NewWorkspaceForm(WorkspaceForm):
    name = forms.CharField(
        max_length=50, required=False, help_text="Letters, digits, - and _; it stays as it is. Empty: by its title."
    )
    configuration = JsonField(rows=10, help_text=SHAPES)
    field_order = ("name",)


@admin.register(Workspace)
class WorkspaceAdmin(DetailAdmin, ServiceAdmin):
    list_display = ("name", "title", "kind", "is_active", "modified")
    list_filter = ("is_active",)
    search_fields = ("name", "title")
    ordering = ("name",)
    fields = ("name",)
    history_of = "workspace"
    add_form = NewWorkspaceForm
    change_form = EditWorkspaceForm

    @admin.display(description="kind")
    def kind(self, row: Workspace) -> SafeString | str:
        configuration = workspace_configuration(row)
        return badge("UNREADABLE", "bad") if configuration is None else str(configuration["broker"]["type"])

    @admin.display(description="modified")
    def modified(self, row: Workspace) -> SafeString | str:
        return when(row.modified_at)

    def detail(self, request: HttpRequest, row: Workspace) -> Detail:
        configuration = workspace_configuration(row)
        badges = [badge("ACTIVE", "good") if row.is_active else badge("DEPRECATED", "quiet")]
        if configuration is None:
            badges.append(badge("UNREADABLE", "bad"))
            shown = format_html("<p>{}</p>", UNREADABLE)
        else:
            shown = shown_json(masked(configuration))
        pairs = (
            ("Id", row.pk),
            ("Name", row.name),
            ("Title", row.title),
            ("Kind", configuration["broker"]["type"] if configuration else None),
            ("Base URL", row.base_url),
            ("Files", self._files(request, row)),
        )
        times = (
            ("Made", when(row.created_at)),
            ("Changed", when(row.modified_at)),
            ("Deprecated", when(row.deprecated_at)),
        )
        return Detail(
            title=f"Workspace {row.name}",
            badges=badges,
            line=row.description,
            cards=(("What it is", facts(pairs)), ("When", facts(times))),
            sections=(("Configuration", shown),),
        )

    def _files(self, request: HttpRequest, row: Workspace) -> SafeString | None:
        if not request.user.has_perm("jobs.view_file"):
            return None
        return link(f"{reverse('admin:jobs_file_changelist')}?{urlencode({'workspace': row.name})}", "those in it")

    def configuration(self, row: Workspace) -> dict[str, Any]:
        return services.facts_of_workspace(row)

    # --- What staff do ---------------------------------------------------------------------------

    def initial(self, row: Workspace) -> dict[str, Any]:
        configuration = workspace_configuration(row)
        return {
            "title": row.title,
            "description": row.description,
            "base_url": row.base_url,
            "configuration": None if configuration is None else masked(configuration),
        }

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Workspace:
        return services.create_workspace(**wish, actor=request.user)  # type: ignore[arg-type]

    def check_add(self, request: HttpRequest, wish: dict[str, Any]) -> services.Verdict:
        return services.validate_workspace(configuration=wish["configuration"], name=wish["name"])

    def change(self, request: HttpRequest, row: Workspace, wish: dict[str, Any], form: Any) -> None:
        # A configuration that was left alone is not given again: it may be one that is not allowed any more.
        if wish["configuration"] in (None, self.initial(row)["configuration"]):
            del wish["configuration"]
        services.edit_workspace(row, **wish, actor=request.user)  # type: ignore[arg-type]

    def row_pages(self) -> Sequence[RowPage]:
        (edit,) = super().row_pages()
        return (
            RowPage("check", "Check", self.may_change, _checked, plain_form, warning=lambda request, row: TRIED),
            replace(edit, check=_check),
            RowPage(
                name="deprecate",
                label="Deprecate",
                allowed=lambda request, row: row.is_active and self.may_change(request, row),
                act=_deprecated,
                form=plain_form,
                warning=lambda request, row: (
                    "No files are registered or uploaded here any more. The files that are "
                    "here stay, and jobs whose type says so still keep their output here."
                ),
                sets={"is_active": False},
            ),
            RowPage(
                name="reactivate",
                label="Reactivate",
                allowed=lambda request, row: not row.is_active and self.may_change(request, row),
                act=_reactivated,
                form=plain_form,
                warning=lambda request, row: "New files may come here again.",
                sets={"is_active": True},
            ),
        )


def _check(request: HttpRequest, row: Workspace, wish: dict[str, Any]) -> services.Verdict:
    return services.check_workspace(row, wish["configuration"])


def _checked(request: HttpRequest, row: Workspace, wish: dict[str, Any], form: Any) -> str:
    """Try it as it is. Raises StorageError with what is wrong."""
    verdict = services.check_workspace(row)
    if verdict.errors:
        raise StorageError(" ".join(f"{each.name}: {each.description}" for each in verdict.errors))
    return f"{row} works: a file was written, read and deleted."


def _deprecated(request: HttpRequest, row: Workspace, wish: dict[str, Any], form: Any) -> str:
    services.edit_workspace(row, is_active=False, actor=request.user)  # type: ignore[arg-type]
    return f"Deprecated: {row}."


def _reactivated(request: HttpRequest, row: Workspace, wish: dict[str, Any], form: Any) -> str:
    services.edit_workspace(row, is_active=True, actor=request.user)  # type: ignore[arg-type]
    return f"Reactivated: {row}."
