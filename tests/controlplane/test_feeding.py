"""The life of a feeder: what jobs' outputs and the event log, followed live, have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.db import OperationalError
from pytest_django import Settings

from controlplane.core import feeding
from controlplane.core.errors import TooManyFollowers
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
WAIT_SECONDS = 20


class Counter(feeding.Feeder[feeding.Follower]):
    """Counts its looks; one fails for each of `failures`."""

    name = "followers of nothing"

    def __init__(self) -> None:
        super().__init__()
        self.looks = self.rests = 0
        self.failures: list[BaseException] = []

    def look(self, followers: list[feeding.Follower]) -> bool:
        self.looks += 1
        if self.failures:
            raise self.failures.pop()
        for follower in followers:
            follower.wake()
        return True

    def rest(self) -> None:
        self.rests += 1


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    monkeypatch.setattr(feeding, "feeders", [])
    found = Counter()
    yield found
    until(lambda: not any(thread.name == found.name for thread in threading.enumerate()))


def test_the_thread_lives_from_the_first_follower_to_the_last(counter: Counter) -> None:
    assert counter.looks == 0
    with counter.place_of(feeding.Follower()) as first, counter.place_of(feeding.Follower()):
        first.wait(WAIT_SECONDS)
        assert sum(thread.name == counter.name for thread in threading.enumerate()) == 1
    until(lambda: counter.rests == 1)
    with counter.place_of(feeding.Follower()) as later:
        later.wait(WAIT_SECONDS)
    until(lambda: counter.rests == 2)
    assert counter.looks >= 2


def test_followers_of_all_kinds_share_one_room(counter: Counter, settings: Settings) -> None:
    settings.FOLLOWERS_AT_MOST = 2
    other = Counter()
    with ExitStack() as places:
        places.enter_context(counter.place_of(feeding.Follower()))
        places.enter_context(other.place_of(feeding.Follower()))
        for feeder in (counter, other):
            with pytest.raises(TooManyFollowers) as refusal, feeder.place_of(feeding.Follower()):
                pass
            assert refusal.value.retry_after_seconds > 0
    with other.place_of(feeding.Follower()):
        pass


def test_all_are_sent_away_and_whoever_comes_later_too(counter: Counter) -> None:
    other = Counter()
    with counter.place_of(feeding.Follower()) as first, other.place_of(feeding.Follower()) as second:
        feeding.leave()
        assert first.must_leave
        assert second.must_leave
        with counter.place_of(feeding.Follower()) as late:
            assert late.must_leave


def test_a_database_that_is_away_is_told_of_once_and_a_thread_that_died_is_started_again(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    counter.failures = [OperationalError("gone"), OperationalError("gone")]
    with counter.place_of(feeding.Follower()) as follower:
        follower.wait(WAIT_SECONDS)
        assert [record.getMessage() for record in caplog.records] == ["no news for 1 followers of nothing: gone"]
        died, counter._thread = counter._thread, threading.Thread()
        assert not counter._thread.is_alive()
        counter.ensure()
        assert counter._thread.is_alive()
        assert died is not counter._thread
    until(lambda: counter.rests == 2)
