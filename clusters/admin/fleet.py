"""The map of the fleet: how many containers are in which state at which place, and what is not well."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from clusters import queries, states
from clusters.admin.hosting_places import place_badge
from clusters.admin.story import cluster_link, container_link, containers_url, state_badge
from clusters.judging import REASONS
from clusters.queries import FleetMap
from controlplane.core.admin import link, table, when

_SHOWN = tuple(status for status in states.CONTAINER_STATES if status != states.DELETED)


def fleet_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page; `context` is that of every page of the site."""
    if not request.user.has_perm("clusters.view_container"):
        raise PermissionDenied
    found = queries.fleet_map()
    sections = (
        ("Containers by place and state", _grid(found)),
        ("Places that fail", _failing(found)),
        ("Not well, by reason", _reasons(found)),
        ("Not well, the newest", _unwell(found)),
        ("Versions by cluster", _versions(found)),
    )
    more = {"title": "Fleet map", "sections": sections, "is_empty": not found.by_place}
    return TemplateResponse(request, "admin/clusters/fleet.html", {**context, **more})


def _grid(found: FleetMap) -> SafeString | str:
    def line(head: Any, pk: int | None) -> tuple[Any, ...]:
        counts = found.by_place.get(pk, {})
        leaving = found.leaving.get(pk, "") if pk is not None else ""
        return (head, *(counts.get(status, "") for status in _SHOWN), leaving, sum(counts.values()))

    rows = [
        line(link(reverse("admin:clusters_hostingplace_change", args=[each.pk]), each), each.pk)
        for each in found.places
    ]
    if None in found.by_place:
        rows.append(line("held nowhere", None))
    heads = ("Place", *_SHOWN, "On its way out", "In all")
    return table(heads, rows) if rows else ""


def _failing(found: FleetMap) -> SafeString | str:
    rows = [(each, place_badge(each), each.failure, when(each.failing_since)) for each in found.places]
    failing = [row for row, each in zip(rows, found.places, strict=True) if each.failing_since]
    return table(("Place", "State", "What it says", "Since"), failing) if failing else ""


def _reasons(found: FleetMap) -> SafeString | str:
    rows = [
        (link(containers_url(status=status), count), state_badge(status), REASONS.get(reason, reason) or "not told")
        for status, reason, count in found.reasons
    ]
    return table(("How many", "Status", "Why"), rows) if rows else ""


def _unwell(found: FleetMap) -> SafeString | str:
    rows = [
        (
            *(container_link(each), cluster_link(each.cluster), state_badge(each.status)),
            *(REASONS.get(each.reason, each.reason), each.detail, when(each.moved_at)),
        )
        for each in found.unwell
    ]
    return table(("Container", "Cluster", "Status", "Why", "In the place's words", "Since"), rows) if rows else ""


def _versions(found: FleetMap) -> SafeString | str:
    rows = [(cluster_link(cluster), version, count) for cluster, version, count in found.versions]
    return table(("Cluster", "Version", "Containers"), rows) if rows else ""
