"""What the runner has to do later, by time."""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from clusters.providers.local.line import Work

Action = Callable[[list[Work]], None]

_STALE_KEPT = 1000


class Deadlines:
    """A heap of (when, action, work). An action gets all its works that are due, in one call."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action, Work]] = []
        self._count = 0
        self._stale = 0

    def add(self, seconds: float, action: Action, work: Work) -> None:
        """Call `action` with `work` in `seconds` from now, unless it has ended by then."""
        self._count += 1
        work.deadlines += 1
        heappush(self._heap, (time.monotonic() + seconds, self._count, action, work))

    def wait_seconds(self) -> float | None:
        """How long until the next one is due; None when there is none."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None

    def run_due(self) -> None:
        """Do what is due."""
        heap, now = self._heap, time.monotonic()
        due: dict[Action, list[Work]] = {}
        while heap and heap[0][0] <= now:
            _, _, action, work = heappop(heap)
            work.deadlines -= 1
            if work.is_over:
                self._stale -= 1
            else:
                due.setdefault(action, []).append(work)
        for action, works in due.items():
            action(works)

    def over(self, work: Work) -> None:
        """`work` has ended: its entries mean nothing now, and go before they are many.

        Otherwise a million short jobs with a timeout of a day would be remembered for a day.
        """
        work.is_over = True
        self._stale += work.deadlines
        if self._stale > _STALE_KEPT and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[3].is_over]
            heapify(self._heap)
            self._stale = 0
