"""Positions of events: in the order of commits, without gaps, and no reader misses one."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, transaction

from accounts import events
from accounts.models import Event, Follower
from accounts.services import number_events
from accounts.services.positions import NUMBERED
from tests.query_budget import counted
from tests.threads import at_once

alone = pytest.mark.django_db
# Transactions that overlap have connections of their own.
together = pytest.mark.django_db(transaction=True, serialized_rollback=True)
WAIT_SECONDS = 20


def put(*subjects: int) -> None:
    events.record([("thing.made", "thing", subject, None, None, None, None) for subject in subjects])


def seen(after: int = 0) -> list[tuple[int, int]]:
    """What a reader that has come to `after` is given: positions with their subjects."""
    number_events()
    rows = Event.objects.filter(position__gt=after).order_by("position")
    return [(position or 0, subject) for position, subject in rows.values_list("position", "subject_id")]


@alone
def test_positions_follow_each_other_from_1_and_nothing_is_numbered_twice() -> None:
    put(7, 8)
    assert seen() == [(1, 7), (2, 8)]
    put(9)
    assert seen(2) == [(3, 9)]
    assert number_events() == 0
    assert Follower.objects.get(name=NUMBERED).position == 3


@alone
def test_at_most_so_many_are_numbered_at_a_time_the_oldest_first() -> None:
    put(*range(7))
    assert [number_events(3) for _ in range(4)] == [3, 3, 1, 0]
    assert [subject for _, subject in seen()] == list(range(7))


@alone
def test_a_position_is_not_given_again_when_its_event_is_deleted() -> None:
    put(1, 2)
    number_events()
    Event.objects.all().delete()
    put(3)
    assert seen() == [(3, 3)]


@alone
def test_looking_costs_one_statement_when_there_is_nothing_to_number() -> None:
    with counted() as statements:
        assert number_events() == 0
    assert len(statements) == 1


@alone
def test_who_writes_an_event_does_not_number_it() -> None:
    with counted() as statements:
        put(1)
    assert len(statements) == 1
    assert Event.objects.get().position is None


class Writer(threading.Thread):
    """Writes an event of `subject`, and commits when it may."""

    def __init__(self, subject: int) -> None:
        super().__init__(daemon=True)
        self._subject = subject
        self.written, self.may_commit = threading.Event(), threading.Event()
        self.start()
        assert self.written.wait(WAIT_SECONDS)

    def run(self) -> None:
        try:
            with transaction.atomic():
                put(self._subject)
                self.written.set()
                assert self.may_commit.wait(WAIT_SECONDS)
        finally:
            connection.close()

    def commit(self) -> None:
        self.may_commit.set()
        self.join(WAIT_SECONDS)
        assert not self.is_alive()


@together
@pytest.mark.runs_once("postgresql", "SQLite has one writer at a time")
def test_what_is_committed_in_the_reverse_order_of_its_writing_is_seen_once_each_in_the_order_of_commits() -> None:
    found: list[tuple[int, int]] = []

    def poll() -> None:
        found.extend(seen(found[-1][0] if found else 0))

    first, second = Writer(1), Writer(2)
    poll()
    second.commit()
    poll()
    assert found == [(1, 2)]
    first.commit()
    poll()
    poll()
    assert found == [(1, 2), (2, 1)]
    assert [event.subject_id for event in Event.objects.order_by("id")] == [1, 2]


@together
@pytest.mark.runs_once("postgresql", "SQLite has one writer at a time")
def test_while_somebody_numbers_others_do_not_wait_and_number_nothing() -> None:
    put(1)
    number_events()
    put(2)
    with transaction.atomic():
        assert number_events() == 1
        assert at_once([number_events]) == [0]
    assert seen() == [(1, 1), (2, 2)]


@together
def test_under_load_no_reader_misses_an_event_or_sees_one_twice() -> None:
    writers, each = 4, 25

    def write(base: int) -> None:
        for n in range(each):
            with transaction.atomic():
                put(base, base)  # one subject: its events are to stay in their order
            if n % 5 == 0:
                number_events(3)

    def read() -> list[int]:
        found: list[int] = []
        end = time.monotonic() + WAIT_SECONDS
        while len(found) < writers * each * 2 and time.monotonic() < end:
            found += [position for position, _ in seen(found[-1] if found else 0)]
        return found

    works = [lambda base=base: write(base) for base in range(1, writers + 1)]
    results = at_once([*works, read, read])
    assert results[:writers] == [None] * writers, results
    assert results[writers] == results[writers + 1] == list(range(1, writers * each * 2 + 1))
    for base in range(1, writers + 1):
        rows = Event.objects.filter(subject_id=base).order_by("position").values_list("id", flat=True)
        assert list(rows) == sorted(rows)
