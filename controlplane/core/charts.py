"""Bars over time, drawn here as SVG, so that pages need no library for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 620, 140  # units of the drawing
_GAP: Final = 0.2  # of a bar's room


def bars(label: str, values: Sequence[tuple[str, int, str]], tone: str = "") -> SafeString:
    """A bar of each name and value, with what is said of it on hover; below 0 they hang down.

    `label` says what it is to those who do not see it; `tone` is that of a badge.
    """
    top, bottom = max(0, *(value for _, value, _ in values)), min(0, *(value for _, value, _ in values))
    span = top - bottom or 1
    room = WIDTH / len(values)
    zero = top / span * HEIGHT
    drawn = format_html_join(
        "",
        "<rect x='{}' y='{}' width='{}' height='{}'><title>{}: {}</title></rect>",
        (
            (
                *(f"{room * (place + _GAP / 2):.1f}", f"{zero - max(value, 0) / span * HEIGHT:.1f}"),
                *(f"{room * (1 - _GAP):.1f}", f"{abs(value) / span * HEIGHT:.1f}", name, said),
            )
            for place, (name, value, said) in enumerate(values)
        ),
    )
    return format_html(
        "<svg class='cp-chart cp-bars{5}' viewBox='0 -2 {0} {1}' role='img' aria-label='{2}'>"
        "<line x1='0' x2='{0}' y1='{3}' y2='{3}'/>{4}</svg>",
        *(WIDTH, HEIGHT + 4, label, f"{zero:.1f}", drawn, f" cp-chart-{tone}" if tone else ""),
    )
