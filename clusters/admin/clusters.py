"""Clusters in the admin: how each does, its containers and rollouts; buttons to roll it on or back, or archive it."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.queries import user_named
from clusters import queries, services, states
from clusters.admin.story import (
    cluster_badge,
    container_link,
    containers_url,
    note,
    rollout_badge,
    state_badge,
    timeline,
)
from clusters.judging import REASONS
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE, LOCATIONS, MACHINE_TYPES
from clusters.models import Cluster, Rollout
from clusters.services.containers import MOST
from controlplane.core.admin import ServiceForm, facts, link, table, when
from controlplane.core.admin_filters import TextFilter
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin, KeysetChangeList
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form, posted, same_names

SHOWN: Final = 50  # containers
ROLLOUTS: Final = 10


class OwnerFilter(TextFilter):
    title = "owner, the whole name"
    parameters = ("owner__username",)


class CustomerFilter(TextFilter):
    title = "customer, the whole name"
    parameters = ("customer__name",)


class ClusterChangeList(KeysetChangeList):
    """A page of clusters, each with its containers counted by state."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = queries.counts_of(row.pk for row in self.result_list)
        for row in self.result_list:
            row.counts = counts.get(row.pk, {})


class NameForm(ServiceForm):
    name = forms.CharField(max_length=64, help_text="What its owner calls it; no two of theirs share a name.")


class NewClusterForm(NameForm):
    owner = forms.CharField(max_length=150, help_text="The whole username of whose it is, who pays for it.")
    image_version = forms.CharField(max_length=128, help_text="What its containers run: the whole name, such as 1.4.2.")
    field_order = ("owner", "name", "image_version")


class ScaleForm(ServiceForm):
    count = forms.IntegerField(min_value=0, max_value=MOST, label="Containers", help_text="In all.")
    location = forms.ChoiceField(
        choices=[(name, place.title) for name, place in LOCATIONS.items()],
        initial=DEFAULT_LOCATION,
        help_text="Of new ones.",
    )
    machine_type = forms.ChoiceField(
        choices=[(name, name) for name in MACHINE_TYPES], initial=DEFAULT_MACHINE_TYPE, help_text="Of new ones."
    )


class RollForm(ServiceForm):
    image_version = forms.CharField(max_length=128, help_text="The whole name of the version, such as 1.4.2.")
    max_unavailable = forms.IntegerField(
        min_value=1,
        max_value=MOST,
        initial=1,
        help_text="So many containers at most are changed, or not well, at once.",
    )


@admin.register(Cluster)
class ClusterAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Admins change them, the rest of the staff look."""

    change_list_template = "admin/clusters/cluster/change_list.html"
    list_display = ("name", "owner", "customer", "image_version", "state", "containers_by_state", "rollout", "created")
    list_filter = (OwnerFilter, CustomerFilter)
    search_fields = ("uuid",)
    search_help_text = "An id, a whole uuid, or how a name begins"
    fields = ("uuid",)
    history_of = "cluster"
    add_form = NewClusterForm
    change_form = NameForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cluster]:
        is_open = Rollout.objects.filter(status__in=states.ROLLOUT_OPEN).select_related("before", "target")
        rows = queries.visible_clusters(request.user).select_related("customer")  # type: ignore[arg-type]
        return rows.defer("secrets").prefetch_related(Prefetch("rollouts", is_open, to_attr="open_rollouts"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ClusterChangeList]:
        return ClusterChangeList

    def search(self, rows: QuerySet[Cluster], term: str) -> QuerySet[Cluster]:
        try:
            key = read_reference(term)
        except ValueError:
            return begins(rows, "name", term)
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="status")
    def state(self, row: Any) -> SafeString:
        return cluster_badge(row, queries.status_of(row.counts))

    @admin.display(description="containers")
    def containers_by_state(self, row: Any) -> str:
        return _counted(row.counts)

    @admin.display(description="rollout")
    def rollout(self, row: Any) -> SafeString | str:
        open_one = _open(row)
        return rollout_badge(open_one) if open_one else ""

    @admin.display(description="made")
    def created(self, row: Cluster) -> SafeString | str:
        return when(row.created_at)

    def detail(self, request: HttpRequest, row: Cluster) -> Detail:
        counts = queries.counts_of([row.pk]).get(row.pk, {})
        return Detail(
            title=f"Cluster {row.name}",
            badges=[cluster_badge(row, queries.status_of(counts))],
            line=_counted(counts),
            cards=(("What it is", _what_it_is(row)), ("The rollout under way", _under_way(row))),
            sections=(
                ("Containers", _containers(row)),
                ("Rollouts", _rollouts(row)),
                ("What happened", timeline("cluster", row.pk)),
            ),
        )

    def configuration(self, row: Cluster) -> dict[str, Any]:
        return services.facts_of_cluster(row)

    # --- Writing -------------------------------------------------------------------------------------

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Cluster:
        owner = user_named(wish["owner"], field="owner")
        return services.make_cluster(actor=request.user, **{**wish, "owner": owner})  # type: ignore[arg-type]

    def may_change(self, request: HttpRequest, row: Cluster) -> bool:
        return super().may_change(request, row) and row.archived_at is None

    def initial(self, row: Cluster) -> dict[str, Any]:
        return {"name": row.name}

    def change(self, request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> None:
        services.change_cluster(cluster=row, actor=request.user, **wish)  # type: ignore[arg-type]

    # --- Buttons -------------------------------------------------------------------------------------

    def row_pages(self) -> list[RowPage]:
        return [
            *super().row_pages(),
            RowPage(
                name="scale",
                label="Scale",
                title="Have so many containers in {row}",
                allowed=self.may_change,
                act=_scale,
                form=lambda request, row: ScaleForm(posted(request), initial={"count": _how_many(row)}),
                warning=lambda request, row: (
                    f"It has {_how_many(row)}. What is more is started, and costs money; of what is too many those go "
                    "first that do least, and whoever is connected to them is cut off."
                ),
            ),
            *self._rollout_pages(),
            RowPage(
                name="archive",
                label="Archive",
                allowed=self.may_change,
                act=_archive,
                form=plain_form,
                warning=lambda request, row: "That cannot be undone. It may have no containers but failed ones.",
            ),
        ]

    def _rollout_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="roll",
                label="Roll to a version",
                title="Roll {row} to another version",
                allowed=lambda request, row: self.may_change(request, row) and _open(row) is None,
                act=_roll,
                form=lambda request, row: RollForm(posted(request)),
                button="Roll",
                warning=lambda request, row: (
                    "Container after container is changed; one that does not come up pauses it."
                ),
                restores=same_names(RollForm),
            ),
            RowPage(
                name="pause",
                label="Pause",
                title="Pause the rollout of {row}?",
                allowed=lambda request, row: self.may_change(request, row) and _is(row, states.ROLLING),
                act=_pause,
                form=plain_form,
                warning=lambda request, row: "No further containers are changed until it is resumed.",
            ),
            RowPage(
                name="resume",
                label="Resume",
                title="Resume the rollout of {row}?",
                allowed=lambda request, row: self.may_change(request, row) and _is(row, states.PAUSED),
                act=_resume,
                form=plain_form,
                warning=lambda request, row: "Containers that did not come up are tried again.",
            ),
            RowPage(
                name="back",
                label="Roll back",
                title="Roll {row} back?",
                allowed=self._may_roll_back,
                act=_back,
                form=plain_form,
                warning=lambda request, row: "Containers go back to the version before, under the same bound.",
            ),
        ]

    def _may_roll_back(self, request: HttpRequest, row: Cluster) -> bool:
        open_one = _open(row)
        return self.may_change(request, row) and open_one is not None and not open_one.is_back


def _open(row: Any) -> Rollout | None:
    """Its rollout that is under way: there is one at most."""
    return next(iter(row.open_rollouts), None)


def _is(row: Cluster, status: str) -> bool:
    open_one = _open(row)
    return open_one is not None and open_one.status == status


def _how_many(row: Cluster) -> int:
    return row.containers.filter(archived_at=None).count()


def _scale(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    changed = len(services.scale_cluster(cluster=row, actor=request.user, **wish))  # type: ignore[arg-type]
    return f"Containers that are made, or go: {changed}."


def _roll(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    made = services.start_rollout(cluster=row, actor=request.user, **wish)  # type: ignore[arg-type]
    return f"Rolling to {made.target}: {row}."


def _pause(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    services.pause_rollout(rollout=_open(row), actor=request.user)  # type: ignore[arg-type]
    return f"Paused: {row}."


def _resume(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    services.resume_rollout(rollout=_open(row), actor=request.user)  # type: ignore[arg-type]
    return f"Resumed: {row}."


def _back(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    made = services.roll_back(rollout=_open(row), actor=request.user)  # type: ignore[arg-type]
    return f"Rolling back to {made.before}: {row}."


def _archive(request: HttpRequest, row: Cluster, wish: dict[str, Any], form: Any) -> str:
    services.archive_cluster(cluster=row, actor=request.user)  # type: ignore[arg-type]
    return f"Archived: {row}."


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[status]} {status}" for status in states.CONTAINER_STATES if counts.get(status))


def _what_it_is(row: Cluster) -> SafeString | str:
    return facts(
        (
            ("UUID", row.uuid),
            ("Owner", row.owner.username),
            ("Customer", row.customer),
            ("Version", row.image_version),
            ("Made", when(row.created_at)),
            ("Archived", when(row.archived_at)),
        )
    )


def _under_way(row: Cluster) -> SafeString | str:
    open_one = _open(row)
    if open_one is None:
        return ""
    return facts(
        (
            ("Status", rollout_badge(open_one)),
            ("Goes to", open_one.before if open_one.is_back else open_one.target),
            ("At once", open_one.max_unavailable),
            ("Reason", open_one.reason),
            ("Since", when(open_one.created_at)),
        )
    )


def _containers(row: Cluster) -> SafeString:
    found = row.containers.filter(archived_at=None).select_related("image_version").order_by("-pk")[:SHOWN]
    heads = ("Container", "Status", "Version", "Machine type", "Location", "Why", "Since")
    lines = [
        (
            *(container_link(each), state_badge(each.status), each.image_version, each.machine_type, each.location),
            *(REASONS.get(each.reason, each.reason), when(each.moved_at)),
        )
        for each in found
    ]
    every = link(containers_url(cluster=row.pk), "All of them, also deleted ones")
    return format_html("{}<p>{}</p>", table(heads, lines) if lines else note("None."), every)


def _rollouts(row: Cluster) -> SafeString | str:
    found = row.rollouts.select_related("before", "target").order_by("-pk")[:ROLLOUTS]
    heads = ("Status", "From", "To", "Goes back", "At once", "Reason", "Began", "Ended")
    lines = [
        (
            *(rollout_badge(each), each.before, each.target, "yes" if each.is_back else "", each.max_unavailable),
            *(each.reason, when(each.created_at), when(each.ended_at)),
        )
        for each in found
    ]
    return table(heads, lines) if lines else ""
