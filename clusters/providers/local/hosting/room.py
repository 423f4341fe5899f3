"""How much of this machine's memory services may take, and who waits for some of it."""

from __future__ import annotations

from collections.abc import Callable


class Room:
    """What each service (by name) has taken. `freed` is called with those that waited, the longest first."""

    def __init__(self, memory_mib: int, freed: Callable[[list[str]], None]) -> None:
        self.memory_mib = memory_mib
        self.used_mib = 0
        self._freed = freed
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, None] = {}

    def take(self, name: str, mib: int, *, forced: bool = False) -> bool:
        """Have `mib` taken by that service instead of what it had; False, and it waits, when there is not so much.

        `forced`: it has it already. Small ones pass by large ones, which might wait for ever: nothing here ends.
        """
        before = self._taken.get(name, 0)
        if self.used_mib - before + mib > self.memory_mib and mib > before and not forced:
            self._waiting[name] = None
            return False
        self._waiting.pop(name, None)
        self._taken[name] = mib
        self.used_mib += mib - before
        if mib < before:
            self._tell()
        return True

    def give_back(self, name: str) -> None:
        """Nothing of that service is to run any more."""
        self._waiting.pop(name, None)
        self.used_mib -= self._taken.pop(name, 0)
        self._tell()

    def _tell(self) -> None:
        if self._waiting:
            self._freed(list(self._waiting))
