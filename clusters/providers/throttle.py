"""How often we call: clouds count calls per account and region, whichever of our threads makes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from clusters.providers.errors import Throttled

WAIT_SECONDS: Final = 2.0
_SLOW_SECONDS: Final = 30.0  # how long the rate stays halved
_SLOWEST: Final = 1 / 16  # of the rate


class Bucket:
    """Tokens that come in at `rate` a second, `burst` of them at most (`rate`); each call takes one. For any thread."""

    def __init__(
        self,
        rate: float,
        *,
        burst: float | None = None,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._burst = rate, max(rate if burst is None else burst, 1.0)
        self._wait_seconds = wait_seconds
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._tokens, self._at = self._burst, clock()
        self._share, self._slow_until = 1.0, 0.0

    def take(self) -> None:
        """Take a token, and wait for it up to `wait_seconds`. Raises Throttled when that is not enough."""
        with self._lock:
            self._fill()
            missing = 0.0
            if self._tokens < 1.0:  # below zero: promised to others who wait
                paused = max(self._at - self._clock(), 0.0)
                missing = paused + (1.0 - self._tokens) / (self._rate * self._share)
            if missing > self._wait_seconds:
                raise Throttled("our own bound of calls is reached", missing)
            self._tokens -= 1.0
        if missing:
            self._sleep(missing)

    def slow_down(self, retry_after_seconds: float) -> None:
        """The cloud had too many: nothing for `retry_after_seconds`, and half as much for a while."""
        with self._lock:
            self._fill()
            now = self._clock()
            self._tokens, self._at = min(self._tokens, 0.0), max(self._at, now + retry_after_seconds)
            self._share = max(self._share / 2, _SLOWEST)
            self._slow_until = now + retry_after_seconds + _SLOW_SECONDS

    def _fill(self) -> None:
        now = self._clock()
        if self._share < 1.0 and now >= self._slow_until:
            self._share = 1.0
        if now > self._at:
            self._tokens = min(self._tokens + (now - self._at) * self._rate * self._share, self._burst)
            self._at = now
