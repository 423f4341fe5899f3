"""Followers of the event log: each event once, whatever fails; one at a time; and none is stopped by one event."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import OperationalError

from accounts import events
from accounts.following import AT_MOST, GONE, SEARCHED, TRIES, follow, passed_by_all
from accounts.models import Customer, Event, Follower, ParkedEvent
from accounts.services import number_events, try_again
from accounts.services.positions import NUMBERED
from tests.factories import make_operator
from tests.query_budget import counted
from tests.threads import at_once

alone = pytest.mark.django_db
THINGS = ("thing.made",)
# Processes at the same time have connections of their own.
together = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture(autouse=True)
def _nobody_follows(request: pytest.FixtureRequest) -> None:
    """Some that migrations make stand at the beginning of the log until they are called."""
    if request.node.get_closest_marker("django_db"):
        Follower.objects.exclude(name=NUMBERED).delete()


def put(*subjects: int, kind: str = "thing.made") -> None:
    events.record([(kind, "thing", subject, None, None, None, None) for subject in subjects])


class Seen:
    """Keeps what it was given, and writes a row for each; fails at what it is told to."""

    def __init__(self, *bad: int) -> None:
        self.subjects: list[int] = []
        self.batches: list[int] = []
        self.bad = set(bad)

    def __call__(self, given: Sequence[Event]) -> None:
        self.batches.append(len(given))
        for event in given:
            if event.subject_id in self.bad:
                raise ValueError("not this one\0")
            Customer.objects.create(name=f"of {event.subject_id}")
        self.subjects += [event.subject_id for event in given]


def written() -> list[int]:
    names = Customer.objects.filter(name__startswith="of ").order_by("id").values_list("name", flat=True)
    return [int(name.removeprefix("of ")) for name in names]


def begin(*names: str) -> None:
    for name in names or ("one",):
        follow(name, (), lambda given: None)


@alone
def test_a_follower_begins_at_the_end_and_is_given_each_event_once_in_their_order() -> None:
    put(1, 2)
    seen = Seen()
    assert follow("one", (), seen) == 0
    put(3, 4)
    assert follow("one", (), seen) == 2
    put(5)
    assert follow("one", (), seen) == 1
    assert follow("one", (), seen) == 0
    assert seen.subjects == written() == [3, 4, 5]


@alone
def test_followers_do_not_know_of_each_other() -> None:
    begin("one", "other")
    put(1)
    one, other = Seen(), Seen()
    follow("one", (), one)
    put(2)
    follow("other", (), lambda given: other.subjects.extend(event.subject_id for event in given))
    assert (one.subjects, other.subjects) == ([1], [1, 2])


@alone
def test_only_the_kinds_that_are_asked_for_are_given_and_the_others_are_passed() -> None:
    begin()
    put(1, kind="other.made")
    put(2)
    put(3, kind="other.made")
    seen = Seen()
    assert follow("one", {"thing.made"}, seen) == 3
    assert seen.subjects == [2]
    assert follow("one", {"thing.made"}, seen) == 0


@alone
def test_a_call_is_bounded_in_what_it_gives_and_in_what_it_looks_at() -> None:
    begin()
    put(*range(7))
    seen = Seen()
    assert [follow("one", (), seen, at_most=3) for _ in range(4)] == [3, 3, 1, 0]
    assert seen.batches == [3, 3, 1]
    put(8)
    number_events()
    Event.objects.filter(subject_id=8).update(position=2 * SEARCHED)
    Follower.objects.filter(name="numbered").update(position=2 * SEARCHED)
    assert follow("one", {"thing.made"}, seen) == SEARCHED
    assert follow("one", {"thing.made"}, seen) == SEARCHED - 7
    assert seen.subjects[-1] == 8


@alone
def test_looking_costs_two_statements_when_there_is_nothing_new() -> None:
    begin()
    with counted() as statements:
        follow("one", (), Seen())
    assert len(statements) == 2


@alone
def test_what_was_written_for_events_that_failed_is_not_there_and_they_come_again() -> None:
    begin()
    put(1, 2, 3)
    seen = Seen(3)
    assert follow("one", (), seen) == 0
    assert written() == []
    seen.bad.clear()
    while follow("one", (), seen):
        pass
    assert seen.subjects == written() == [1, 2, 3]
    assert not ParkedEvent.objects.exists()


@alone
def test_an_event_that_always_fails_is_found_parked_after_five_tries_and_passed() -> None:
    begin()
    put(*range(100))
    seen = Seen(41)
    for _ in range(60):
        follow("one", (), seen)
    assert seen.subjects == written() == [n for n in range(100) if n != 41]
    parked = ParkedEvent.objects.get()
    assert Event.objects.get(position=parked.position).subject_id == 41
    assert (parked.follower, parked.kind, parked.error) == ("one", "thing.made", "ValueError: not this one")
    assert Follower.objects.get(name="one").failures == 0
    put(*range(1000, 3000))
    while follow("one", (), seen):
        pass
    assert Follower.objects.get(name="one").at_once is None
    assert max(seen.batches) == AT_MOST


@alone
def test_it_takes_five_tries_at_the_same_event() -> None:
    begin()
    put(1)
    seen = Seen(1)
    for tries in range(1, TRIES):
        follow("one", (), seen)
        assert Follower.objects.get(name="one").failures == tries
        assert not ParkedEvent.objects.exists()
    follow("one", (), seen)
    assert ParkedEvent.objects.count() == 1
    assert seen.batches == [1] * TRIES


def park(seen: Seen) -> None:
    for _ in range(40):
        follow("one", THINGS, seen)


@alone
def test_what_was_parked_is_dealt_with_when_staff_want_it_tried_again() -> None:
    begin()
    put(*range(10))
    seen = Seen(3, 7)
    park(seen)
    assert [row.kind for row in ParkedEvent.objects.all()] == ["thing.made"] * 2
    seen.bad.clear()
    follow("one", THINGS, seen)
    assert len(written()) == 8  # not by itself
    actor = make_operator().user
    rows = list(ParkedEvent.objects.order_by("position"))
    assert try_again(follower="one", position=rows[0].position, actor=actor) == 1
    follow("one", THINGS, seen)
    assert (written()[-1], ParkedEvent.objects.count()) == (3, 1)
    assert try_again(follower="one", actor=actor) == 1
    assert try_again(follower="one", actor=actor) == 0  # it is on its way
    follow("one", THINGS, seen)
    assert (sorted(written()), ParkedEvent.objects.count()) == ([*range(10)], 0)
    follow("one", THINGS, seen)
    assert len(written()) == 10
    assert not Follower.objects.get(name="one").takes_parked
    told = Event.objects.filter(kind="parked_event.tried-again").order_by("pk")
    assert [(each.actor, each.after) for each in told] == [
        (actor, {"follower": "one", "position": row.position}) for row in rows
    ]


@alone
def test_what_fails_again_stays_parked_and_keeps_nobody_else() -> None:
    begin()
    put(1, 2, 3)
    seen = Seen(1, 2)
    park(seen)
    seen.bad.remove(2)
    try_again(follower="one", actor=None)
    put(4)
    follow("one", THINGS, seen)
    assert written() == [3, 2, 4]
    row = ParkedEvent.objects.get()
    assert (row.again, row.error) == (False, "ValueError: not this one")
    before = len(seen.batches)
    follow("one", THINGS, seen)
    assert len(seen.batches) == before


@alone
def test_many_are_tried_over_several_calls_and_what_is_gone_says_so() -> None:
    begin()
    put(*range(5))
    gone = Event.objects.get(kind="thing.made", subject_id=0)
    follow("one", THINGS, Seen())
    for name in ("one", "two"):
        ParkedEvent.objects.bulk_create(
            ParkedEvent(follower=name, position=position, kind="thing.made", error="") for position in range(1, 6)
        )
    gone.delete()
    try_again(follower="one", actor=None)
    with mock.patch("accounts.following.AGAIN", 2):
        for left in (4, 2, 1):
            follow("one", THINGS, lambda given: None)
            assert ParkedEvent.objects.filter(follower="one").count() == left
    assert ParkedEvent.objects.get(follower="one").error == GONE
    assert ParkedEvent.objects.filter(follower="two", again=False).count() == 5


@alone
def test_the_command_lists_what_is_parked_and_has_it_tried_again() -> None:
    begin()
    put(1)
    seen = Seen(1)
    park(seen)
    out = io.StringIO()
    call_command("parked", stdout=out)
    assert "ValueError: not this one\n1 were left behind." in out.getvalue()
    call_command("parked", again="one", stdout=out)
    assert out.getvalue().endswith("1 are tried again when one next looks at the log.\n")
    seen.bad.clear()
    follow("one", THINGS, seen)
    assert written() == [1]


@alone
def test_a_database_that_is_out_of_reach_is_no_fault_of_an_event() -> None:
    begin()
    put(1)

    def act(given: Sequence[Event]) -> None:
        raise OperationalError("gone")

    for _ in range(2 * TRIES):
        with pytest.raises(OperationalError):
            follow("one", (), act)
    assert (Follower.objects.get(name="one").failures, ParkedEvent.objects.count()) == (0, 0)


@alone
def test_passed_by_all_is_where_the_slowest_is() -> None:
    put(1)
    assert passed_by_all() == 1
    begin("one", "other")
    put(2, 3)
    follow("one", (), Seen())
    assert passed_by_all() == 1
    follow("other", (), lambda given: None)
    assert passed_by_all() == 3


@together
@pytest.mark.runs_once("postgresql", "SQLite has one writer at a time")
def test_one_process_at_a_time_goes_on_and_the_others_do_not_wait() -> None:
    begin()
    put(1)
    inside, over = threading.Event(), threading.Event()

    def act(given: Sequence[Event]) -> None:
        inside.set()
        assert over.wait(20)

    def other() -> int:
        assert inside.wait(20)
        try:
            return follow("one", (), Seen(1))
        finally:
            over.set()

    assert at_once([lambda: follow("one", (), act), other]) == [1, 0]


@together
def test_many_at_once_are_given_each_event_once_between_them() -> None:
    begin()
    put(*range(200))
    seen = [Seen() for _ in range(4)]

    def run(one: Seen) -> None:
        while passed_by_all() < Event.objects.count():
            follow("one", (), one, at_most=10)

    assert at_once([lambda one=one: run(one) for one in seen]) == [None] * 4  # type: ignore[misc]
    assert sorted(written()) == sorted(n for one in seen for n in one.subjects) == list(range(200))
