"""Waiting for a queue's bell without polling the queue.

A bell is a row in django-q2's table, written in the transaction of the work it announces. After the
commit it sounds: for who listens on this machine at a socket, else by PostgreSQL's NOTIFY. On SQLite
`PRAGMA data_version`, which changes when any other connection has committed, is asked every 10 ms (about
5 µs each) besides.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db import connection, connections

from controlplane.core import sets

SQLITE_TICK_SECONDS: Final = 0.01


def channel(queue: str) -> str:
    """The NOTIFY channel of a queue."""
    return f"queue:{queue}"


def socket_of(queue: str) -> Path | None:
    """Where the resident passes of this machine listen; None for other queues."""
    names = {settings.PULSE: "pass.bell", settings.CLOUDS: "clouds.bell", settings.CONTAINERS: "containers.bell"}
    return settings.RUN_DIR / names[queue] if queue in names else None


def sound(queue: str) -> None:
    """Wake who waits for `queue`. Call it when the bell has been committed.

    A sound that nobody hears is no loss: the row is there, and whoever comes looks at it first. A
    statement of its own, because a transaction that notifies holds one lock of the whole server until it
    is on disk.
    """
    path = socket_of(queue)
    if path is not None and _send(path):
        return
    if sets.is_postgresql():
        sets.run("SELECT pg_notify(%s, '')", [channel(queue)])


def _send(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.sendto(b".", str(path))
        except BlockingIOError:
            return True  # it has not heard the last ones yet, and will look after it has
        except OSError:
            return False
    return True


class Doorbell:
    """Listens for one queue, on a connection of its own that is opened on first use and again when it breaks."""

    def __init__(self, queue: str, path: Path | None = None) -> None:
        """`path`: also hear what sounds at this socket of the machine."""
        self._queue = queue
        self._path = path
        self._socket: socket.socket | None = None
        self._postgresql: psycopg.Connection[Any] | None = None
        self._sqlite: sqlite3.Connection | None = None
        self._version = 0

    def listen(self) -> None:
        """Be connected. Call it before looking at the queue, so that what comes after the look rings."""
        if self._path is not None and self._socket is None:
            self._socket = _bind(self._path)
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
            if self._socket is not None:
                others.append(self._socket.fileno())
            if self._postgresql is not None:
                rang = self._wait_postgresql(self._postgresql, seconds, others)
            else:
                rang = self._wait_sqlite(seconds, others)
            return self._heard() or rang
        except (psycopg.OperationalError, sqlite3.OperationalError):
            self.close()
            time.sleep(min(seconds, 0.2))
            return True

    def _heard(self) -> bool:
        """Take what has sounded at the socket."""
        heard = False
        while self._socket is not None:
            try:
                self._socket.recv(16)
            except BlockingIOError:
                break
            heard = True
        return heard

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
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bind(path: Path) -> socket.socket | None:
    """A socket at `path`; None where the path is too long for one, or cannot be: the other ways remain."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError:
        listener.close()
        return None
    return listener
