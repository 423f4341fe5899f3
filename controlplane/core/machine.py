"""State machines as tables. Plain Python, so that the tables of states need no Django."""

from __future__ import annotations

from collections.abc import Mapping


class Machine:
    """A table of allowed moves: state -> the states it may go to."""

    def __init__(self, moves: Mapping[str, frozenset[str]]) -> None:
        self.moves = moves
        self._sources = {to: tuple(sorted(s for s, tos in moves.items() if to in tos)) for to in moves}

    def allows(self, source: str, to: str) -> bool:
        return to in self.moves[source]

    def sources(self, to: str) -> tuple[str, ...]:
        """The states from which `to` can be reached."""
        return self._sources[to]
