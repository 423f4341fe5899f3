"""Where a definition's nodes stand when it is drawn: columns from the left to the right, each after what it waits for.

Lengths are pixels. What is drawn is bounded, however many edges a definition has: the shortest come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from jobtypes.recipe.definition import Condition, Definition, Dependency, JobTypeRef, Node

WIDTH: Final = 200  # of a box
HEIGHT: Final = 46
BETWEEN_COLUMNS: Final = 80
BETWEEN_ROWS: Final = 16
LANE: Final = 4  # the room for an edge that passes through a column
MARGIN: Final = 8
MAX_EDGES: Final = 2000
MAX_PASSED: Final = 8000  # columns that edges pass, all together
SWEEPS: Final = 4  # to the right and back
TALL: Final = 600  # what is higher begins at the top, where who opens a page looks first
NAME_SHOWN: Final = 23
DETAIL_SHOWN: Final = 29

Shape = Literal["job", "recipe", "condition"]
Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A node. `text` and `detail` are its name and what it runs, cut to what fits; `title` has both whole."""

    name: str
    shape: Shape
    text: str
    detail: str
    title: str
    column: int
    x: int
    y: int
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Edge:
    """That `after` waits for `before`, drawn through `points`; `label`: what the condition `before` must have found."""

    before: str
    after: str
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """`left_out`: how many edges there are besides those that are drawn."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    left_out: int


def draw(definition: Definition) -> Drawing:
    """The definition, laid out. The same definition is always drawn the same."""
    columns = columns_of(definition)
    wires, left_out = _chosen(definition, columns)
    grid = _Grid()
    slots = {name: grid.add(column, HEIGHT) for name, column in columns.items()}
    paths = [grid.connect(slots[before], slots[after], label) for before, after, label in wires]
    grid.order()
    middles = grid.place()
    boxes = tuple(
        _box(node, columns[name], MARGIN + middles[slots[name]] - HEIGHT // 2)
        for name, node in definition.nodes.items()
    )
    edges = tuple(
        Edge(*wire, _points([(grid.columns[slot], MARGIN + middles[slot]) for slot in path]))
        for wire, path in zip(wires, paths, strict=True)
    )
    width = max((box.x + WIDTH for box in boxes), default=0) + MARGIN
    return Drawing(width, grid.height + 2 * MARGIN, boxes, edges, left_out)


def columns_of(definition: Definition) -> dict[str, int]:
    """The column of each node: how many nodes are before it on the longest way from the input."""
    found: dict[str, int] = {}
    for node in definition.nodes.values():
        found[node.name] = max((found[each.name] + 1 for each in node.dependencies), default=0)
    return found


def shortened(text: str, most: int) -> str:
    """The text, with its end cut off where it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


# --- What is drawn -------------------------------------------------------------------------------

Wire = tuple[str, str, str]


def _chosen(definition: Definition, columns: Mapping[str, int]) -> tuple[list[Wire], int]:
    """The edges that are drawn, and how many others there are."""
    every = [
        (columns[node.name] - columns[each.name], (each.name, node.name, _label(each, definition)))
        for node in definition.nodes.values()
        for each in node.dependencies
    ]
    every.sort(key=lambda each: each[0])
    chosen: list[Wire] = []
    passed = 0
    for length, wire in every:
        passed += length - 1
        if len(chosen) == MAX_EDGES or passed > MAX_PASSED:
            break
        chosen.append(wire)
    return chosen, len(every) - len(chosen)


def _label(dependency: Dependency, definition: Definition) -> str:
    if not isinstance(definition.nodes[dependency.name].what, Condition):
        return ""
    return "accepted" if dependency.acceptance else "refused"


def _box(node: Node, column: int, y: int) -> Box:
    shape, detail = _runs(node)
    return Box(
        name=node.name,
        shape=shape,
        text=shortened(node.name, NAME_SHOWN),
        detail=shortened(detail, DETAIL_SHOWN),
        title=f"{node.name}: {detail}",
        column=column,
        x=_left(column),
        y=y,
    )


def _runs(node: Node) -> tuple[Shape, str]:
    """The shape of a node, and what it runs, for people."""
    what = node.what
    if isinstance(what, Condition):
        return "condition", f"condition on {', '.join(dict.fromkeys(each.name for each in what.filters.filters))}"
    words = [what.name, what.version] if isinstance(what, JobTypeRef) else [what.name]
    revision = [] if what.revision is None else [f"r{what.revision}"]
    return ("job" if isinstance(what, JobTypeRef) else "recipe"), " ".join([*words, *revision])


def _left(column: int) -> int:
    return MARGIN + column * (WIDTH + BETWEEN_COLUMNS)


def _points(path: Sequence[tuple[int, int]]) -> tuple[Point, ...]:
    """From the right side of a box, straight through the columns in between, to the left side of another."""
    (first, y), *between, (last, end) = path
    points = [(_left(first) + WIDTH, y)]
    for column, middle in between:
        points += [(_left(column), middle), (_left(column) + WIDTH, middle)]
    return (*points, (_left(last), end))


# --- Where it stands -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Grid:
    """Slots in columns: a box each, or the lane of an edge that passes; neighbours are in the columns beside."""

    columns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    left: list[list[int]] = field(default_factory=list)
    right: list[list[int]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    lanes: dict[tuple[int, str, int], int] = field(default_factory=dict)
    height: int = 0

    def add(self, column: int, size: int) -> int:
        slot = len(self.columns)
        self.columns.append(column)
        self.sizes.append(size)
        self.left.append([])
        self.right.append([])
        while len(self.rows) <= column:
            self.rows.append([])
        self.rows[column].append(slot)
        return slot

    def connect(self, before: int, after: int, label: str) -> list[int]:
        """The slots of an edge. Edges that leave a box for the same reason share their lanes."""
        path = [before]
        for column in range(self.columns[before] + 1, self.columns[after]):
            key = (before, label, column)
            if key not in self.lanes:
                self.lanes[key] = self.add(column, LANE)
                self._join(path[-1], self.lanes[key])
            path.append(self.lanes[key])
        self._join(path[-1], after)
        return [*path, after]

    def _join(self, before: int, after: int) -> None:
        self.right[before].append(after)
        self.left[after].append(before)

    def order(self) -> None:
        """Put each slot near the middle of its neighbours, so that edges are short and seldom cross."""
        rank = [0.0] * len(self.columns)
        for row in self.rows:
            _number(row, rank)
        for _ in range(SWEEPS):
            for row in self.rows[1:]:
                self._sort(row, self.left, rank)
            for row in self.rows[-2::-1]:
                self._sort(row, self.right, rank)

    def _sort(self, row: list[int], neighbours: Sequence[Sequence[int]], rank: list[float]) -> None:
        row.sort(key=lambda slot: _mean((rank[each] for each in neighbours[slot]), rank[slot]))
        _number(row, rank)

    def place(self) -> list[int]:
        """The middle of each slot, from the top, within the height of the fullest column."""
        self.height = max((self._length(row) for row in self.rows), default=0)
        middles = [0.0] * len(self.columns)
        rightwards = (self.rows, self.left)
        if self.height > TALL:
            start, passes = 0.0, [rightwards]
        else:
            start, passes = self.height / 2, [rightwards, (self.rows[::-1], self.right), rightwards]
        for row in self.rows:
            self._settle(row, dict.fromkeys(row, start), middles)
        for rows, neighbours in passes:
            for row in rows:
                wishes = {slot: _mean((middles[each] for each in neighbours[slot]), middles[slot]) for slot in row}
                self._settle(row, wishes, middles)
        return [round(middle) for middle in middles]

    def _length(self, row: Sequence[int]) -> int:
        return sum(self.sizes[slot] for slot in row) + BETWEEN_ROWS * (len(row) - 1)

    def _settle(self, row: Sequence[int], wishes: Mapping[int, float], middles: list[float]) -> None:
        """Give each slot of a column the place nearest to its wish that keeps the order and leaves room for all.

        Without the room that the slots above take, this is a regression by a rising line, and pooling solves it.
        """
        room = self.height - self._length(row)
        offsets: list[float] = []
        above = 0
        pools: list[tuple[float, int]] = []  # the mean of so many slots
        for slot in row:
            offsets.append(above + self.sizes[slot] / 2)
            above += self.sizes[slot] + BETWEEN_ROWS
            mean, count = wishes[slot] - offsets[-1], 1
            while pools and pools[-1][0] >= mean:
                other, more = pools.pop()
                mean, count = (mean * count + other * more) / (count + more), count + more
            pools.append((mean, count))
        placed = [min(max(mean, 0), room) for mean, count in pools for _ in range(count)]
        for slot, offset, start in zip(row, offsets, placed, strict=True):
            middles[slot] = start + offset


def _number(row: Sequence[int], rank: list[float]) -> None:
    """Note where each slot stands in its column, from 0 to 1, so that columns of any length compare."""
    for place, slot in enumerate(row):
        rank[slot] = (place + 0.5) / len(row)


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = list(values)
    return sum(found) / len(found) if found else otherwise
