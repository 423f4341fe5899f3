"""Health checks of a container: its command is run in it by us, since not every engine runs checks of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from clusters.providers.errors import ProviderError
from clusters.providers.hosting import HealthCheck
from clusters.providers.local.docker.engine import Engine
from clusters.providers.trials import trial

_AT_FIRST_SECONDS: Final = 1.0  # how often while failures do not count


class Checks:
    """Those of one run, from `started` on, by the monotonic clock.

    `is_healthy` is None until they have told for the first time.
    """

    def __init__(self, engine: Engine, container: str, check: HealthCheck, started: float) -> None:
        self.is_healthy: bool | None = None
        self._engine = engine
        self._container = container
        self._check = check
        self._counts_from = started + check.start_seconds
        self._misses = 0
        self._next_at = started
        self._trial: _Trial | None = None

    def go_on(self) -> None:
        """Take up what the last one told, and begin the next when it is due. Does not wait."""
        now = time.monotonic()
        if self._trial is None:
            if now >= self._next_at:
                self._trial = _Trial(self._engine, self._container, command_of(self._check))
                self._next_at = now + self._pause(now)
        elif self._trial.is_over:
            if not self._trial.is_late:
                self._count(self._trial.is_well, now)
            self._trial = None
        elif now - self._trial.began > self._check.timeout_seconds and (
            not self._trial.is_late or now >= self._next_at
        ):
            # No other begins while it hangs: it counts once more each time that one would be due.
            self._trial.is_late = True
            self._next_at = max(self._next_at, now + self._pause(now))
            self._count(False, now)

    def _pause(self, now: float) -> float:
        interval = float(self._check.interval_seconds)
        return min(interval, _AT_FIRST_SECONDS) if now < self._counts_from and not self.is_healthy else interval

    def _count(self, is_well: bool | None, now: float) -> None:
        if is_well is None:
            return
        if is_well:
            self._misses, self.is_healthy = 0, True
        elif now >= self._counts_from or self.is_healthy:
            self._misses += 1
            if self._misses >= self._check.retries:
                self.is_healthy = False


class _Trial:
    """One, in a thread of its own: engines tell nothing before it is over. It ends with its container at the latest.

    `is_well` None: the engine could not tell.
    """

    def __init__(self, engine: Engine, container: str, command: Sequence[str]) -> None:
        self.began = time.monotonic()
        self.is_over = self.is_late = False
        self.is_well: bool | None = None
        self._work = (engine, container, command)
        threading.Thread(target=self._try, name=f"check-{container}", daemon=True).start()

    def _try(self) -> None:
        engine, container, command = self._work
        try:
            self.is_well = engine.execute(container, command) == 0 and not self.is_late
        except ProviderError:
            self.is_well = None
        except Exception:  # the connection broke, with an error of whatever library stands under the SDK
            self.is_well = None
        finally:
            self.is_over = True


def command_of(check: HealthCheck) -> Sequence[str]:
    if check.port is None:
        return check.command
    return ["/bin/sh", "-c", trial(check.port, check.path)]
