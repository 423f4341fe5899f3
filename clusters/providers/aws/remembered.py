"""What AWS told, kept for a while: it changes seldom, and asking takes seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")
_MOST: Final = 1000


class Remembered(Generic[Value]):
    """Values by key, each for `seconds`. For any thread; two may ask for the same at once, which does no harm."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, Value]] = {}

    def get(self, key: Hashable, ask: Callable[[], Value]) -> Value:
        """What is known for `key`, or else what `ask` finds; nothing is kept when it raises."""
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        if value is not None and self._clock() < until:
            return value
        value = ask()
        with self._lock:
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (self._clock() + self._seconds, value)
        return value

    def forget(self, key: Hashable) -> None:
        """It has changed."""
        with self._lock:
            self._kept.pop(key, None)
