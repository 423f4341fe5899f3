"""What pages of the fleet have in common: states in colour, links, what happened to a row."""

from __future__ import annotations

from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import Event
from clusters import states
from clusters.models import Cluster, Container, Rollout
from controlplane.core.admin import badge, link, table, when

SHOWN: Final = 50  # events
_TONES: Final = {
    states.RUNNING: "good",
    states.UNHEALTHY: "bad",
    states.FAILED: "bad",
    states.STOPPED: "quiet",
    states.DELETED: "quiet",
    states.PENDING: "waiting",
}
_ROLLOUT_TONES: Final = {states.ROLLING: "busy", states.PAUSED: "waiting", states.COMPLETED: "good"}
_CLUSTER_TONES: Final = {"running": "good", "degraded": "bad", "failed": "bad", "idle": "quiet"}


def state_badge(status: str) -> SafeString:
    return badge(status, _TONES.get(status, "busy"))


def rollout_badge(row: Rollout) -> SafeString:
    return badge(row.status, _ROLLOUT_TONES.get(row.status, "quiet"))


def cluster_badge(row: Cluster, word: str) -> SafeString:
    """What it is; `word`: what its containers make of it."""
    return badge("archived", "quiet") if row.archived_at else badge(word, _CLUSTER_TONES.get(word, "busy"))


def cluster_link(row: Cluster) -> SafeString:
    return link(reverse("admin:clusters_cluster_change", args=[row.pk]), row.name)


def container_link(row: Container) -> SafeString:
    return link(reverse("admin:clusters_container_change", args=[row.pk]), row.name)


def containers_url(**wish: Any) -> str:
    """The list of containers, narrowed by its filters."""
    return f"{reverse('admin:clusters_container_changelist')}?{urlencode(wish)}"


def timeline(kind: str, pk: int) -> SafeString:
    """The last events of a row, in their order."""
    rows = Event.objects.filter(subject_kind=kind, subject_id=pk).select_related("actor").order_by("-pk")
    found = list(rows[: SHOWN + 1])
    lines = [(when(each.at), each.kind, _what(each), each.actor or "the keeper") for each in found[:SHOWN][::-1]]
    shown = table(("At", "What", "How", "By"), lines)
    if len(found) <= SHOWN:
        return shown
    url = f"{reverse('admin:accounts_event_changelist')}?{urlencode({'q': f'{kind} {pk}'})}"
    return format_html("<p>{}</p>{}", link(url, f"The last {SHOWN} events; all of them"), shown)


def _what(event: Event) -> str:
    """An event's before and after in a line."""
    before, after = event.before or {}, event.after or {}
    parts = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        told = f"{was} → {now}" if was is not None and name in after else str(now if name in after else was)
        parts.append(told if name in ("status", "reason") else f"{name} {told}")
    return ", ".join(parts)


def note(text: str) -> SafeString:
    return format_html("<p class='cp-note'>{}</p>", text)
