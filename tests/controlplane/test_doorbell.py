from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from controlplane.core import bells, doorbell
from controlplane.core.doorbell import Doorbell
from controlplane.core.enqueue import enqueue
from tests.query_budget import counted

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


# --- The socket of the resident pass -------------------------------------------------------------


@pytest.fixture
def pass_bell(settings, short_folder) -> Path:
    settings.RUN_DIR = short_folder
    path = doorbell.socket_of(settings.PULSE)
    assert path is not None
    return path


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cp-") as folder:
        yield Path(folder)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_pass_of_this_machine_hears_at_its_socket(ring: Callable[[], None], pass_bell: Path) -> None:
    door = Doorbell("some-queue-that-nothing-notifies", pass_bell)
    door.listen()
    assert door.wait(0) is False
    for _ in range(2000):  # more than a socket holds: the rest is not waited for
        doorbell.sound(settings.PULSE)
    start = time.monotonic()
    assert door.wait(LONG)
    assert time.monotonic() - start < LONG / 2
    assert door.wait(0) is False
    door.close()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("left", [False, True])
def test_without_a_pass_the_others_are_told(pass_bell: Path, left: bool) -> None:
    if left:
        doorbell._bind(pass_bell).close()  # type: ignore[union-attr] # a socket's file that a killed pass left
    assert doorbell._send(pass_bell) is False
    with counted() as statements:
        doorbell.sound(settings.PULSE)
    assert ["pg_notify" in text for text in statements.texts] == ([True] if connection.vendor == "postgresql" else [])


def test_a_folder_too_deep_for_a_socket_is_no_fault(tmp_path: Path) -> None:
    assert doorbell._bind(tmp_path / ("x" * 120) / "pass.bell") is None


def test_other_queues_have_no_socket() -> None:
    assert doorbell.socket_of("work") is None


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_nothing_sounds_before_its_commit(pass_bell: Path, ring: Callable[[], None]) -> None:
    door = Doorbell("some-queue-that-nothing-notifies", pass_bell)
    door.listen()
    door.wait(0)
    with transaction.atomic():
        bells.ring({settings.PULSE})
        assert door._heard() is False
    assert door._heard() is True
    door.close()
