"""What is over is moved aside in one step, and deleted by a process of its own: that may take long."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from clusters.providers.local.hosting import files

# A program may have shut folders against itself, so they are opened first. Links are not followed.
_DELETE = 'chmod -R u+rwx "$0" 2>/dev/null; rm -rf "$0"'


class Trash:
    """The folder `trash` of a root; `trash.going` is what of it is being deleted."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/{files.TRASH}"
        self._going = f"{self._path}.going"
        self._count = 0
        self._is_busy = False
        self._has_more = os.path.isdir(self._path) or os.path.isdir(self._going)  # left by one that was killed

    @property
    def is_empty(self) -> bool:
        return not (self._is_busy or self._has_more)

    def put(self, path: str) -> None:
        """Move `path` there; one that is not there is fine."""
        self._count += 1
        name = f"{os.getpid()}-{time.monotonic_ns()}-{self._count}"
        with contextlib.suppress(FileNotFoundError):
            os.makedirs(self._path, 0o700, exist_ok=True)
            os.rename(path, f"{self._path}/{name}")
            self._has_more = True

    def sweep(self, watched: dict[int, Callable[[int], None]]) -> None:
        """Start to delete what is there, if anything is; `watched` is where the end of that is told."""
        if self._is_busy or not self._has_more:
            return
        with contextlib.suppress(OSError):  # no process can be had: later
            if not os.path.isdir(self._going):
                os.rename(self._path, self._going)
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", _DELETE, self._going], {"PATH": os.defpath})
            watched[pid] = self._gone
            self._is_busy, self._has_more = True, os.path.isdir(self._path)

    def _gone(self, _status: int) -> None:
        self._is_busy = False
