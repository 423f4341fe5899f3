from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from django.conf import settings
from django.db import connection

from controlplane.core.doorbell import Doorbell
from controlplane.core.enqueue import enqueue

LONG = 30.0


@pytest.fixture
def ring(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Rings the queue `work`: a task on PostgreSQL; on SQLite another connection's commit to the same file."""
    if connection.vendor == "postgresql":
        return lambda: enqueue("jobs.tasks.sweep")
    file = str(tmp_path / "doorbell.sqlite3")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", file)
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE t (n)")

    def commit() -> None:
        with closing(sqlite3.connect(file)) as other, other:
            other.execute("INSERT INTO t VALUES (1)")

    return commit


def _waiting(*descriptors: int) -> tuple[threading.Thread, threading.Event, list[tuple[bool, float]]]:
    """A thread that listens, then waits; what its wait returned, and after how long."""
    listens = threading.Event()
    woken: list[tuple[bool, float]] = []

    def wait() -> None:
        door = Doorbell("work")
        door.listen()
        listens.set()
        start = time.monotonic()
        woken.append((door.wait(LONG, *descriptors), time.monotonic() - start))
        door.close()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, listens, woken


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_bell_wakes_who_waits_long_before_the_time_is_over(ring: Callable[[], None]) -> None:
    thread, listens, woken = _waiting()
    assert listens.wait(LONG)
    ring()
    thread.join(LONG + 10)
    ((rang, seconds),) = woken
    assert rang
    assert seconds < LONG / 2


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_rang_between_listening_and_waiting_is_not_missed(ring: Callable[[], None]) -> None:
    door = Doorbell("work")
    door.listen()
    ring()
    start = time.monotonic()
    assert door.wait(LONG)
    assert time.monotonic() - start < LONG / 2
    door.close()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_readable_descriptor_wakes_and_is_no_bell(ring: Callable[[], None]) -> None:
    read, write = os.pipe()
    os.write(write, b"x")
    thread, _, woken = _waiting(read, -1)
    thread.join(LONG + 10)
    ((rang, seconds),) = woken
    assert not rang
    assert seconds < LONG / 2
    os.close(read)
    os.close(write)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_nobody_rings_and_the_wait_ends_by_its_time(ring: Callable[[], None]) -> None:
    door = Doorbell("work")
    assert door.wait(0.05) is False
    door.close()
