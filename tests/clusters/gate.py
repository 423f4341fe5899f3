"""Where a stand-in of a cloud holds requests until a test lets them go on."""

from __future__ import annotations

import threading
from typing import Final

# Nobody comes to let them go: the test has failed.
HELD_SECONDS: Final = 120.0


class Gate:
    """For any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0
        self._openings = 0

    def held(self) -> int:
        """How many wait."""
        with self._changed:
            return self._held

    def wait(self) -> None:
        """Until the next `open`."""
        with self._changed:
            before = self._openings
            self._held += 1
            self._changed.wait_for(lambda: self._openings > before, HELD_SECONDS)
            self._held -= 1

    def open(self) -> None:
        """Let all go on that wait now."""
        with self._changed:
            self._openings += 1
            self._changed.notify_all()
