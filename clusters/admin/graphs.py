"""Graphs of a container's metrics: the last hour, drawn here as SVG, so that pages need no library for it."""

from __future__ import annotations

import math
import time
from typing import Final

from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from clusters.admin.story import note
from clusters.models import Container
from clusters.telemetry import metrics
from clusters.telemetry.prometheus import Series
from clusters.telemetry.promql import MetricName, Question, Scope
from controlplane.core.errors import ControlPlaneError

HOUR_SECONDS: Final = 3600
STEP_SECONDS: Final = 60
WIDTH, HEIGHT = 300, 80  # units of the drawing
_GRAPHS: Final = (
    ("Peers", MetricName.ROOM_PEERS, None),
    ("Rooms", MetricName.ROOMS, None),
    ("CPU", MetricName.CPU, 1.0),
    ("Memory", MetricName.MEMORY, 1.0),
)


def graphs(container: Container) -> SafeString:
    """A graph of each metric, or why there is none."""
    if not settings.PROMETHEUS_URL:
        return note("With the setting PROMETHEUS_URL the metrics of the last hour are drawn here.")
    end = int(time.time()) // STEP_SECONDS * STEP_SECONDS
    start = end - HOUR_SECONDS
    scope = Scope.of_instances([container.uuid])
    drawn = []
    try:
        for title, metric, top in _GRAPHS:
            found = metrics.over_time(Question(metric, scope), start, end, STEP_SECONDS)
            drawn.append((_graph(title, _points(found), start, top),))
    except ControlPlaneError as error:
        return note(error.message)
    return format_html("<div class='cp-columns'>{}</div>", format_html_join("", "{}", drawn))


def _points(found: list[Series]) -> list[tuple[float, float]]:
    """Moments and values of the one series that there is; what is no number is left out."""
    values = found[0]["values"] if found else []
    read = ((at, float(text)) for at, text in values)
    return [(at, value) for at, value in read if math.isfinite(value)]


def _graph(title: str, points: list[tuple[float, float]], start: int, top: float | None) -> SafeString:
    """From 0 to `top`, or to the largest value where that is larger. A gap in time is a gap in the line."""
    if not points:
        return format_html("<figure><figcaption>{}: nothing is known</figcaption></figure>", title)
    most = max(top or 0.0, *(value for _, value in points)) or 1.0
    lines: list[list[str]] = []
    last = -math.inf
    for at, value in points:
        if at - last > 2 * STEP_SECONDS:
            lines.append([])
        x = (at - start) / HOUR_SECONDS * WIDTH
        lines[-1].append(f"{x:.1f},{HEIGHT - max(value, 0.0) / most * HEIGHT:.1f}")
        last = at
    # A moment alone has no length to draw: its end is round, and shows.
    drawn = format_html_join(
        "", "<polyline points='{}'/>", ((" ".join(line if line[1:] else line * 2),) for line in lines)
    )
    now = _shown(points[-1][1], top)
    return format_html(
        "<figure><figcaption>{0}: {1}, of {2} at the top</figcaption>"
        "<svg class='cp-chart' viewBox='0 -2 {3} {4}' role='img' aria-label='{0} in the last hour: now {1}'>{5}</svg>"
        "</figure>",
        *(title, now, _shown(most, top), WIDTH, HEIGHT + 4, drawn),
    )


def _shown(value: float, top: float | None) -> str:
    return f"{value:.0%}" if top else f"{value:.4g}"
