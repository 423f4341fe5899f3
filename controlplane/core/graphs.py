"""Graphs as SVG inside a page: boxes and edges that somebody has laid out, in the tones of badges and with links.

What the boxes mean is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

CORNER: Final = 12  # how far a hexagon's sides reach in, in pixels
TIP: Final = 7
_HEXAGONS: Final = "condition"
_DOUBLE: Final = "recipe"


class Box(Protocol):
    """Lengths are pixels. `title` is shown on hover; the shape is a condition's, a recipe's or any other."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class Edge(Protocol):
    """Its points go to the right: curved from the first to the second, straight to the third, and so on."""

    @property
    def label(self) -> str: ...
    @property
    def points(self) -> Sequence[tuple[int, int]]: ...


class Graph(Protocol):
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def boxes(self) -> Sequence[Box]: ...
    @property
    def edges(self) -> Sequence[Edge]: ...
    @property
    def left_out(self) -> int: ...


@dataclass(frozen=True)
class Look:
    """How a box is shown: in the tone of a badge, with a word in place of its detail, leading to an address."""

    tone: str = "quiet"
    word: str = ""
    url: str = ""


def shown_graph(graph: Graph, label: str, looks: Mapping[str, Look]) -> SafeString:
    """The graph as SVG that scrolls. `label` says what it is to those who do not see it; `looks` are by box name."""
    edges = format_html_join("", "{}", ((_edge(each),) for each in graph.edges))
    boxes = format_html_join("", "{}", ((_box(each, looks.get(each.name, Look())),) for each in graph.boxes))
    drawn = format_html(
        "<div class='cp-scroll cp-graph-frame'><svg class='cp-graph' role='group' aria-label='{0}' width='{1}' "
        "height='{2}' viewBox='0 0 {1} {2}'>{3}{4}</svg></div>",
        *(label, graph.width, graph.height, edges, boxes),
    )
    if not graph.left_out:
        return drawn
    return format_html("{}<p class='cp-note'>{} more edges, the longest, are not drawn.</p>", drawn, graph.left_out)


def _edge(edge: Edge) -> SafeString:
    points = edge.points
    line = f"M{points[0][0]} {points[0][1]}"
    for place, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        middle = (x + to_x) // 2
        line += f"L{to_x} {to_y}" if place % 2 else f"C{middle} {y} {middle} {to_y} {to_x} {to_y}"
    (x, y), (to_x, to_y) = points[-2:]
    tip = f"M{to_x} {to_y}l-{TIP} -4v8z"
    return format_html(
        "<path class='cp-edge' d='{}'/><path class='cp-tip' d='{}'/>{}",
        *(line, tip, _word(edge.label, (x + to_x) // 2, (y + to_y) // 2 - 4)),
    )


def _word(text: str, x: int, y: int) -> SafeString | str:
    return format_html("<text class='cp-edge-label' x='{}' y='{}'>{}</text>", x, y, text) if text else ""


def _box(box: Box, look: Look) -> SafeString:
    title = f"{box.title} – {look.word}" if look.word else box.title
    middle = box.x + box.width // 2
    shown = format_html(
        "<g class='cp-node cp-{}'><title>{}</title>{}<text class='cp-node-name' x='{}' y='{}'>{}</text>"
        "<text class='cp-node-detail' x='{}' y='{}'>{}</text></g>",
        *(look.tone, title, _outline(box)),
        *(middle, box.y + box.height // 2 - 4, box.text),
        *(middle, box.y + box.height // 2 + 13, look.word or box.detail),
    )
    return format_html("<a href='{}'>{}</a>", look.url, shown) if look.url else shown


def _outline(box: Box) -> SafeString:
    x, y, width, height = box.x, box.y, box.width, box.height
    if box.shape == _HEXAGONS:
        half, inner = height // 2, width - 2 * CORNER
        path = f"M{x} {y + half}l{CORNER} -{half}h{inner}l{CORNER} {half}l-{CORNER} {half}h-{inner}z"
        return format_html("<path d='{}'/>", path)
    rect = format_html("<rect x='{}' y='{}' width='{}' height='{}' rx='6'/>", x, y, width, height)
    if box.shape != _DOUBLE:
        return rect
    line = format_html("<path class='cp-inner' d='M{} {}v{}M{} {}v{}'/>", x + 5, y, height, x + width - 5, y, height)
    return format_html("{}{}", rect, line)
