"""Containers in the admin: what each is to be and is, where, and why not; buttons that start, stop, drain and drop."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_script_prefix, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts import event_kinds
from clusters import queries, services, states
from clusters.admin.clusters import CustomerFilter, OwnerFilter
from clusters.admin.graphs import graphs
from clusters.admin.log_tail import log_section, tail
from clusters.admin.story import cluster_link, note, state_badge, timeline
from clusters.explaining import words_of
from clusters.judging import REASONS
from clusters.models import Container, Placement
from controlplane.core.admin import badge, facts, link, link_out, table, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin, Live
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin, KeysetChangeList
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form

PLACEMENTS: Final = 10


class StatusFilter(ChoiceFilter):
    title = "status"
    parameters = ("status",)
    words = tuple((status, status) for status in states.CONTAINER_STATES)


class ClusterFilter(TextFilter):
    title = "cluster, its id"
    parameters = ("cluster",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        given = [text for text in self.values["cluster"] if text.isascii() and text.isdigit() and len(text) < 19]
        return rows.filter(cluster__in=[int(text) for text in given])


class ContainerChangeList(KeysetChangeList):
    """A page of containers, each with what serves of it."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        placements = queries.placements_of(row.pk for row in self.result_list)
        for row in self.result_list:
            row.placement = placements.get(row.pk)


@admin.register(Container)
class ContainerAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Admins change them, the rest of the staff look."""

    change_form_template = "admin/clusters/container/change_form.html"
    list_display = (
        *("name", "of_cluster", "state", "location", "machine_type", "image_version", "place", "restarts", "since"),
    )
    list_filter = (StatusFilter, ClusterFilter, OwnerFilter, CustomerFilter)
    search_fields = ("uuid",)
    search_help_text = "An id, a whole uuid, or how a name begins"
    fields = ("uuid",)
    history_of = "container"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Container]:
        rows = queries.visible_containers(request.user)  # type: ignore[arg-type]
        return rows.select_related("customer").defer("cluster__secrets")

    def configuration(self, row: Container) -> dict[str, Any]:
        return services.facts_of_container(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ContainerChangeList]:
        return ContainerChangeList

    def search(self, rows: QuerySet[Container], term: str) -> QuerySet[Container]:
        try:
            key = read_reference(term)
        except ValueError:
            return begins(rows, "name", term)
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="cluster")
    def of_cluster(self, row: Container) -> SafeString:
        return cluster_link(row.cluster)

    @admin.display(description="status")
    def state(self, row: Container) -> SafeString:
        return _badges(row)

    @admin.display(description="place")
    def place(self, row: Any) -> str:
        return str(row.placement.place) if row.placement else ""

    @admin.display(description="restarts")
    def restarts(self, row: Any) -> int | str:
        return row.placement.restarts if row.placement else ""

    @admin.display(description="since")
    def since(self, row: Container) -> SafeString | str:
        return when(row.moved_at)

    def detail(self, request: HttpRequest, row: Container) -> Detail:
        return Detail(
            title=f"Container {row.name}",
            badges=[_badges(row)],
            line=REASONS.get(row.reason, row.reason),
            cards=(("What it is to be", _wanted(row)), ("What it is", _observed(row))),
            sections=(
                ("The last hour", graphs(row)),
                ("Log", log_section(row)),
                ("Where it stands", _placements(row)),
                ("What happened", timeline("container", row.pk)),
            ),
            live=_live(row),
        )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._log)
        return [path("<int:pk>/log/", view, name="clusters_container_log"), *super().get_urls()]

    def _log(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the page's script asks for, again and again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse(tail(self._row(request, pk)))

    # --- Buttons -------------------------------------------------------------------------------------

    def row_pages(self) -> list[RowPage]:
        def page(name: str, label: str, allowed: Any, act: Any, warning: str, **sets: Any) -> RowPage:
            def may(request: HttpRequest, row: Container) -> bool:
                return self.may_change(request, row) and bool(allowed(row))

            return RowPage(name, label, may, act, plain_form, warning=lambda request, row: warning, sets=sets)

        def lives(row: Container) -> bool:
            return row.archived_at is None

        return [
            page(
                *("start", "Start", lambda row: lives(row) and states.CONTAINER.allows(row.status, states.PENDING)),
                *(_start, "It is asked for where its location is now."),
            ),
            page(
                *("stop", "Stop", lambda row: lives(row) and states.CONTAINER.allows(row.status, states.STOPPING)),
                *(_stop, "Who is connected to it is cut off. It is kept, and can be started again."),
            ),
            page(
                *("drain", "Drain", lambda row: lives(row) and not row.is_draining),
                *(_drain, "No new clients are led to it; those that are connected stay."),
                is_draining=True,
            ),
            page(
                *("undrain", "Undrain", lambda row: lives(row) and row.is_draining),
                *(_undrain, "New clients are led to it again."),
                is_draining=False,
            ),
            page(
                *("drop", "Drop", lambda row: row.status not in (states.DELETING, states.DELETED)),
                *(_drop, "Who is connected to it is cut off. That cannot be undone."),
            ),
        ]


def _live(row: Container) -> Live | None:
    if row.status == states.DELETED:
        return None
    events = [kind for kind in event_kinds.KINDS if kind.startswith("container.")]
    return Live(f"{get_script_prefix()}v6/events/stream/?subject_kind=container&subject={row.pk}", events)


def _start(request: HttpRequest, row: Container, wish: dict[str, Any], form: Any) -> str:
    services.start_container(container=row, actor=request.user)  # type: ignore[arg-type]
    return f"Starting: {row}."


def _stop(request: HttpRequest, row: Container, wish: dict[str, Any], form: Any) -> str:
    services.stop_container(container=row, actor=request.user)  # type: ignore[arg-type]
    return f"Stopping: {row}."


def _drain(request: HttpRequest, row: Container, wish: dict[str, Any], form: Any) -> str:
    services.drain_container(container=row, actor=request.user, is_draining=True)  # type: ignore[arg-type]
    return f"Draining: {row}."


def _undrain(request: HttpRequest, row: Container, wish: dict[str, Any], form: Any) -> str:
    services.drain_container(container=row, actor=request.user, is_draining=False)  # type: ignore[arg-type]
    return f"Not draining any more: {row}."


def _drop(request: HttpRequest, row: Container, wish: dict[str, Any], form: Any) -> str:
    services.drop_container(container=row, actor=request.user)  # type: ignore[arg-type]
    return f"Dropped: {row}."


def _badges(row: Container) -> SafeString:
    if not row.is_draining:
        return state_badge(row.status)
    return format_html("{} {}", state_badge(row.status), badge("draining", "waiting"))


def _wanted(row: Container) -> SafeString | str:
    return facts(
        (
            ("Desired", row.desired),
            ("Cluster", cluster_link(row.cluster)),
            ("Owner", row.owner.username),
            ("Customer", row.customer),
            ("Version", row.image_version),
            ("Machine type", row.machine_type),
            ("Location", row.location),
            ("Routing key", row.routing_key),
            ("Generation", row.generation),
            ("UUID", row.uuid),
            ("Made", when(row.created_at)),
            ("Archived", when(row.archived_at)),
        )
    )


def _observed(row: Container) -> SafeString | str:
    serves = queries.placements_of([row.pk]).get(row.pk)
    place = link(reverse("admin:clusters_hostingplace_change", args=[serves.place_id]), serves.place) if serves else ""
    return facts(
        (
            ("Status", row.status),
            ("Since", when(row.moved_at)),
            ("Reason", row.reason),
            ("Detail", row.detail),
            ("Ran first", when(row.started_at)),
            ("Place", place),
            ("Address", _address(serves) if serves else ""),
            ("Restarts", serves.restarts if serves else None),
            ("What its place says", words_of(serves)),
        )
    )


def _address(row: Placement) -> str:
    """Where clients are led, port by port."""
    return ", ".join(f"{row.host}:{there} ({port})" for port, there in row.ports.items()) or row.host


def _placements(row: Container) -> SafeString:
    found = row.placements.select_related("place").order_by("-pk")[:PLACEMENTS]
    heads = (
        "Place",
        "Status",
        "Handle",
        "There",
        "Generation",
        "Run",
        "Address",
        "Healthy",
        "Restarts",
        "Seen",
        "Ended",
    )
    lines = [
        (
            *(each.place, each.status, *_shown_there(each), each.generation, each.run, _address(each)),
            *(_HEALTH[each.is_healthy], each.restarts, when(each.seen_at), when(each.ended_at)),
        )
        for each in found
    ]
    return table(heads, lines) if lines else note("Nowhere.")


def _shown_there(placement: Placement) -> tuple[SafeString | str, SafeString | str]:
    """The handle, with links to what its cloud shows of it."""
    page, log = queries.links_of_placement(placement)
    links = [link_out(url, text) for url, text in ((page, "its page"), (log, "its log")) if url]
    return placement.handle, format_html_join(", ", "{}", ((each,) for each in links))


_HEALTH: Final = {True: "yes", False: "no", None: ""}
