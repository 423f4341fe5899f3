"""How fast a cloud's account may be called, over all threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from clusters.providers.errors import Throttled


class TokenBucket:
    """At most `rate` calls a second, and `burst` at once after a pause.

    A call that has to wait takes its place in line first, so waiting threads go on one by one.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds_per_call = 1 / rate
        self._ahead_seconds = burst / rate
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = now() - self._ahead_seconds  # when the next call is due, were calls evenly spread
        self._closed_until = now()

    def take(self, wait_seconds: float) -> None:
        """Let one call pass; sleeps until it may. Raises Throttled at once when that is not within `wait_seconds`."""
        with self._lock:
            now = self._now()
            due = max(self._next, now - self._ahead_seconds) + self._seconds_per_call
            opens = max(due, self._closed_until)
            if opens - now > wait_seconds:
                raise Throttled("we hold calls back, so as not to be throttled", opens - now)
            self._next = due
        if opens > now:
            self._sleep(opens - now)

    def slow_down(self, seconds: float) -> None:
        """The cloud complained: let nothing pass for `seconds`, and then no burst."""
        with self._lock:
            now = self._now()
            self._closed_until = max(self._closed_until, now + seconds)
            self._next = max(self._next, self._closed_until)
