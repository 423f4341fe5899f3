"""Waiting for a queue's bell without polling the queue.

A bell is a row in django-q2's table, written in the transaction of the work it announces. PostgreSQL
tells of it by NOTIFY at commit; on SQLite `PRAGMA data_version`, which changes when any other
connection has committed, is asked every 10 ms (about 5 µs each).
"""

from __future__ import annotations

import contextlib
import select
import sqlite3
import time
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db import connection, connections

SQLITE_TICK_SECONDS: Final = 0.01


def channel(queue: str) -> str:
    """The NOTIFY channel of a queue."""
    return f"queue:{queue}"


class Doorbell:
    """Listens for one queue, on a connection of its own that is opened on first use and again when it breaks."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._postgresql: psycopg.Connection[Any] | None = None
        self._sqlite: sqlite3.Connection | None = None
        self._version = 0

    def listen(self) -> None:
        """Be connected. Call it before looking at the queue, so that what comes after the look rings."""
        if connection.vendor == "postgresql":
            if self._postgresql is None or self._postgresql.closed:
                wrapper = connections.create_connection("default")
                wrapper.ensure_connection()
                raw: psycopg.Connection[Any] = wrapper.connection
                raw.autocommit = True
                raw.execute(f'LISTEN "{channel(self._queue)}"')
                self._postgresql = raw
        elif self._sqlite is None:
            self._sqlite = sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)
            self._version = self._data_version()

    def wait(self, seconds: float, *descriptors: int) -> bool:
        """Block until the bell rings, a descriptor is readable, or `seconds` are over. True if it rang."""
        others = [descriptor for descriptor in descriptors if descriptor >= 0]
        try:
            self.listen()
            if self._postgresql is not None:
                return self._wait_postgresql(self._postgresql, seconds, others)
            return self._wait_sqlite(seconds, others)
        except (psycopg.OperationalError, sqlite3.OperationalError):
            self.close()
            time.sleep(min(seconds, 0.2))
            return True

    def _wait_postgresql(self, raw: psycopg.Connection[Any], seconds: float, others: list[int]) -> bool:
        ready, _, _ = select.select([raw.fileno(), *others], [], [], seconds)
        if raw.fileno() not in ready:
            return False
        return len(list(raw.notifies(timeout=0))) > 0

    def _data_version(self) -> int:
        assert self._sqlite is not None
        version: int = self._sqlite.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _wait_sqlite(self, seconds: float, others: list[int]) -> bool:
        end = time.monotonic() + seconds
        while True:
            version = self._data_version()
            if version != self._version:
                self._version = version
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            ready, _, _ = select.select(others, [], [], min(left, SQLITE_TICK_SECONDS))
            if ready:
                return False

    def close(self) -> None:
        for raw in (self._postgresql, self._sqlite):
            if raw is not None:
                with contextlib.suppress(psycopg.Error, sqlite3.Error):
                    raw.close()
        self._postgresql = self._sqlite = None
