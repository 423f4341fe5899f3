"""Dying, or standing still, at a chosen line of a module."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from django.db import connection

# At every line it takes minutes: one in so many, another each day.
ONE_IN: Final = int(os.environ.get("CRASHES_ONE_IN", "12"))


class Died(BaseException):
    """As SIGKILL would: nothing of the caller's own runs any more."""


def die() -> None:
    raise Died


@contextmanager
def at_line(files: Collection[str], number: int, happen: Callable[[], None]) -> Iterator[list[int]]:
    """Let something happen before line `number`, in the order of running, of the modules whose `files` are watched.

    Yields how many lines were run. Lines inside a transaction count, too.
    """
    seen = [0]

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            seen[0] += 1
            if seen[0] == number:
                sys.settrace(None)
                frame.f_trace = None
                happen()
        return trace

    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(None)


def some_of(lines: int) -> range:
    """Those lines of so many that are tried today."""
    return range(1 + datetime.now(UTC).toordinal() % ONE_IN, lines + 1, ONE_IN)


def reconnect() -> None:
    """Who died on the way out of a transaction has left it open."""
    if connection.in_atomic_block:
        connection.close()
        connection.connect()
