"""Files: the list, a file's page, and how files come, are described and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import access
from clusters.queries import link_of_object
from controlplane.core.admin import badge, facts, link, link_out, shown_json, when
from controlplane.core.admin_filters import ChoiceFilter, ParameterFilter, TextFilter
from controlplane.core.beginnings import beginning
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form
from controlplane.core.storage import StorageError
from jobs import services
from jobs.admin.file_forms import DescribeForm, NewFileForm
from jobs.models import File, FileType, Job
from jobtypes.errors import WorkspaceNotFound
from jobtypes.queries import find_workspace, workspace_configuration, workspaces_by_name

NOT_LISTED: Final = ("meta_data", "geometry")  # up to 64 KiB each
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def shown_size(size: int) -> SafeString:
    """Bytes as people say them; exactly on hover."""
    value, unit = float(size), "bytes"
    for larger in _UNITS:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return format_html("<span title='{} bytes'>{} {}</span>", size, f"{value:.1f}" if size >= 1024 else size, unit)


# --- Filters -------------------------------------------------------------------------------------


class WorkspaceFilter(TextFilter):
    title = "workspace, its whole name"
    parameters = ("workspace",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """By id: a join would keep PostgreSQL from seeing how many files of it there are."""
        found = workspaces_by_name(self.values["workspace"])
        return rows.filter(workspace__in=[each.pk for each in found.values()])


class NameFilter(TextFilter):
    title = "how its name begins"
    parameters = ("name",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = Q()
        for start in self.values["name"]:
            wanted |= beginning("name", start)
        return rows.filter(wanted)


class OfJobFilter(TextFilter):
    title = "job that made it, by id or uuid"
    parameters = ("job",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        try:
            key = read_reference(self.values["job"][-1].strip())
        except ValueError:
            return rows.none()
        return rows.filter(job=key) if isinstance(key, int) else rows.filter(job__in=Job.objects.filter(uuid=key))


class FileTypeFilter(ChoiceFilter):
    title = "where it comes from"
    parameters = ("file_type",)
    words = tuple(FileType.choices)


class DeletedFilter(ChoiceFilter):
    title = "deleted"
    parameters = ("deleted",)
    words = (("1", "yes"), ("0", "no"))

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(deleted_at__isnull=self.values["deleted"] != ["1"])


FILTERS: Final[tuple[type[ParameterFilter], ...]] = (
    WorkspaceFilter,
    NameFilter,
    OfJobFilter,
    FileTypeFilter,
    DeletedFilter,
)


# --- The list, and the page ------------------------------------------------------------------------


@admin.register(File)
class FileAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    list_display = (
        *("id", "name", "in_workspace", "shown_size", "media_type", "kind", "of_job", "customer", "made", "gone"),
    )
    list_display_links = ("id", "name")
    list_filter = FILTERS
    list_select_related = ("workspace", "customer")
    search_fields = ("uuid",)
    search_help_text = "An id, a whole uuid, or how a name begins"
    fields = ("name",)
    history_of = "file"
    add_form = NewFileForm
    change_form = DescribeForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        rows = super().get_queryset(request)
        if request.resolver_match is not None and request.resolver_match.url_name == "jobs_file_changelist":
            return rows.defer(*NOT_LISTED)
        return rows.select_related("workspace", "customer", "owner", "execution")

    def search(self, rows: QuerySet[File], term: str) -> QuerySet[File]:
        try:
            key = read_reference(term)
        except ValueError:
            return rows.filter(beginning("name", term))
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="workspace")
    def in_workspace(self, row: File) -> SafeString:
        return link(reverse("admin:jobtypes_workspace_change", args=[row.workspace_id]), row.workspace)

    @admin.display(description="size")
    def shown_size(self, row: File) -> SafeString:
        return shown_size(row.size)

    @admin.display(description="type")
    def kind(self, row: File) -> SafeString:
        return badge(row.file_type, "busy" if row.file_type == FileType.PRODUCT else "quiet")

    @admin.display(description="job")
    def of_job(self, row: File) -> SafeString | str:
        return "" if row.job_id is None else link(reverse("admin:jobs_job_change", args=[row.job_id]), row.job_id)

    @admin.display(description="created")
    def made(self, row: File) -> SafeString | str:
        return when(row.created_at)

    @admin.display(description="deleted")
    def gone(self, row: File) -> SafeString | str:
        return when(row.deleted_at)

    def detail(self, request: HttpRequest, row: File) -> Detail:
        badges = [self.kind(row)]
        if row.deleted_at is not None:
            badges.append(badge("DELETED", "bad"))
        return Detail(
            title=f"File {row.name}",
            badges=badges,
            line=format_html("{} in {}", row.path, self.in_workspace(row)),
            cards=(
                ("What it is", facts(_what(row))),
                ("Where it comes from", facts(self._origin(request, row))),
                ("What it is about", facts(_about(row))),
            ),
            sections=(
                ("Metadata", shown_json(row.meta_data) if row.meta_data else ""),
                ("Geometry", shown_json(row.geometry) if row.geometry else ""),
            ),
        )

    def _origin(self, request: HttpRequest, row: File) -> list[tuple[str, Any]]:
        customer = row.customer
        execution = row.execution
        return [
            ("Owner", self._owner(request, row)),
            (
                "Customer",
                link(reverse("admin:accounts_customer_change", args=[customer.pk]), customer)
                if customer
                else "none: only staff see it",
            ),
            ("Job", self.of_job(row)),
            (
                "Execution",
                link(reverse("admin:jobs_execution_change", args=[execution.pk]), execution.number)
                if execution
                else None,
            ),
            ("Output of the job", row.job_output),
            ("At the cloud", _at_cloud(row)),
            ("Created", when(row.created_at)),
            ("Changed", when(row.modified_at)),
            ("Deleted", when(row.deleted_at)),
        ]

    def _owner(self, request: HttpRequest, row: File) -> Any:
        owner = row.owner
        if owner is None:
            return None
        reader: Any = request.user
        sees = access.decide(reader, "users", access.READ, owner_id=owner.pk).allowed
        return link(reverse("admin:accounts_user_change", args=[owner.pk]), owner) if sees else owner

    def buttons(self, request: HttpRequest, row: File) -> list[tuple[str, str]]:
        found = super().buttons(request, row)
        if row.deleted_at is not None:
            return found
        return [("Download", reverse("file-content", args=[row.pk])), *found]

    # --- What staff do ---------------------------------------------------------------------------

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> File:
        """Upload what was sent, or else register what is there."""
        actor: Any = request.user
        try:
            workspace = find_workspace(actor, wish["workspace"])
        except WorkspaceNotFound:
            raise InvalidRequest("There is no workspace of this id or name.", field="workspace") from None
        path, sent = wish["path"], wish["file"]
        said = {"media_type": wish["media_type"], "customer": wish["customer"] or None}
        if sent is not None:
            return services.upload_file(actor=actor, workspace=workspace, path=path, source=sent.chunks(), **said)
        # Without a hash the file is read for it: by the service, after it has looked at all the rest.
        stored = services.measure_file(workspace, path, wish["sha256"]) if wish["sha256"] else None
        return services.register_file(actor=actor, workspace=workspace, path=path, stored=stored, **said)

    def initial(self, row: File) -> dict[str, Any]:
        return DescribeForm.of(row)

    def change(self, request: HttpRequest, row: File, wish: dict[str, Any], form: Any) -> None:
        services.edit_file(row, actor=request.user, **form.description())  # type: ignore[arg-type]

    def may_change(self, request: HttpRequest, row: File) -> bool:
        return row.deleted_at is None and super().may_change(request, row)

    def row_pages(self) -> Sequence[RowPage]:
        (edit,) = super().row_pages()
        return (
            replace(edit, label="Describe", title="Describe {row}"),
            RowPage(
                name="remove",
                label="Delete",
                allowed=lambda request, row: row.deleted_at is None and self.may_remove(request, row),
                act=_deleted,
                form=plain_form,
                warning=lambda request, row: (
                    "Its bytes go from the workspace for good. Jobs that wait for it as their "
                    "input will fail. This page stays, and says since when it is deleted."
                ),
            ),
            RowPage(
                name="remove-again",
                label="Delete its bytes again",
                allowed=lambda request, row: row.deleted_at is not None and self.may_remove(request, row),
                act=_deleted,
                form=plain_form,
                warning=lambda request, row: (
                    "It is deleted already. This asks the storage once more to remove its "
                    "bytes, in case it failed to. Nothing happens when another file is at its path by now."
                ),
            ),
        )


def _deleted(request: HttpRequest, row: File, wish: dict[str, Any], form: Any) -> str:
    try:
        services.delete_file(row, actor=request.user)  # type: ignore[arg-type]
    except StorageError as error:
        message = f"It counts as deleted, but its bytes may still be there: {error.message} Delete them again later."
        raise StorageError(message) from error
    return f"Deleted: {row}."


def _what(row: File) -> list[tuple[str, Any]]:
    return [
        ("Id", row.pk),
        ("Uuid", row.uuid),
        ("Size", shown_size(row.size)),
        ("Media type", row.media_type),
        ("SHA-256", row.sha256 or "not known: nobody has read it"),
    ]


def _at_cloud(row: File) -> SafeString | None:
    configuration = workspace_configuration(row.workspace)
    url = link_of_object(configuration["broker"], row.path) if configuration and row.deleted_at is None else ""
    return link_out(url, "its page") if url else None


def _about(row: File) -> list[tuple[str, Any]]:
    return [
        ("Data from", when(row.data_started_at)),
        ("Data to", when(row.data_ended_at)),
        ("Source from", when(row.source_started_at)),
        ("Source to", when(row.source_ended_at)),
        ("Class of the sensor", row.source_sensor_class),
        ("Sensor", row.source_sensor),
        ("Collection", row.source_collection),
        ("Task", row.source_task),
    ]
