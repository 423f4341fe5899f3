"""A row of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One row of the table: smaller figures are better unless `more` says so."""

    what: str
    figure: float
    accept: float
    aim: float
    note: str
    more: bool = False

    @property
    def passes(self) -> bool:
        return self.figure >= self.accept if self.more else self.figure <= self.accept
