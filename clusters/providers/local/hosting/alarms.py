"""When the supervisor has to look at which service again."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush

_STALE_KEPT = 1000


class Alarms:
    """One alarm for each name; setting it anew moves it. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._at: dict[str, float] = {}

    def set(self, name: str, at: float) -> None:
        """Ring for `name` at that time; infinity: never."""
        if at == self._at.get(name, math.inf):
            return
        if at == math.inf:
            del self._at[name]
            return
        self._at[name] = at
        heappush(self._heap, (at, name))
        if len(self._heap) > _STALE_KEPT + 2 * len(self._at):
            self._heap = [(at, name) for name, at in self._at.items()]
            heapify(self._heap)

    def due(self, now: float) -> list[str]:
        """The names whose time has come; their alarms are off."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, name = heappop(self._heap)
            if self._at.get(name) == at:
                del self._at[name]
                found.append(name)
        return found

    def next(self) -> float:
        """When the next one may ring; infinity when none is set."""
        return self._heap[0][0] if self._heap else math.inf
