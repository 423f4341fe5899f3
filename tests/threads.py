"""Callers at the same time, each in a thread with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

LONGEST_SECONDS = 60


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Begin all `works` together; what each returned, or the exception that it raised, in their order."""
    found: list[Any] = [None] * len(works)
    line = threading.Barrier(len(works))

    def run(n: int) -> None:
        try:
            line.wait(LONGEST_SECONDS)
            found[n] = works[n]()
        except Exception as error:
            found[n] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_SECONDS)
        assert not thread.is_alive(), "a caller does not come back"
    return found
