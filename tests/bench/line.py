"""A row of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One row of the table: smaller figures are better unless `more` says so. A peer's figure has no bounds."""

    what: str
    figure: float
    accept: float | None
    aim: float | None
    note: str
    more: bool = False

    @property
    def passes(self) -> bool:
        if self.accept is None:
            return True
        return self.figure >= self.accept if self.more else self.figure <= self.accept

    def __str__(self) -> str:
        bounds = " ".join(f"{'-':>9}" if bound is None else f"{bound:9.2f}" for bound in (self.accept, self.aim))
        return f"{self.what:68} {self.figure:9.2f} {bounds}  {self.note}{'' if self.passes else '  MISSED'}"
