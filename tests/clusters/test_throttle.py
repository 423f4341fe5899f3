"""How fast an account may be called."""

from __future__ import annotations

import threading
import time

import pytest

from clusters.providers.errors import Throttled
from clusters.providers.throttle import TokenBucket

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")


class Clock:
    """Time that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bucket(clock: Clock, rate: float = 10, burst: int = 3) -> TokenBucket:
    return TokenBucket(rate, burst, clock.now, clock.sleep)


def test_a_burst_passes_and_then_the_rate_holds(clock: Clock) -> None:
    one = bucket(clock)
    for _ in range(5):
        one.take(1)
    assert clock.slept == [0.1, 0.1]


def test_a_pause_allows_a_burst_again_and_no_more(clock: Clock) -> None:
    one = bucket(clock)
    for _ in range(3):
        one.take(1)
    clock.time += 1000
    for _ in range(4):
        one.take(1)
    assert clock.slept == [0.1]


def test_who_would_wait_too_long_is_told_how_long(clock: Clock) -> None:
    one = bucket(clock, rate=1, burst=1)
    one.take(0)
    with pytest.raises(Throttled) as caught:
        one.take(0.5)
    assert caught.value.retry_after_seconds == pytest.approx(1.0)
    assert clock.slept == []
    clock.time += 1
    one.take(0)  # what was refused took no place


def test_slowed_down_nothing_passes_and_no_burst_follows(clock: Clock) -> None:
    one = bucket(clock)
    one.slow_down(5)
    one.slow_down(1)  # changes nothing
    with pytest.raises(Throttled) as caught:
        one.take(2)
    assert 5 <= caught.value.retry_after_seconds <= 5.2
    for _ in range(3):
        one.take(10)
    assert clock.slept == [5.1, 0.1, 0.1]


def test_threads_share_it() -> None:
    one, took = TokenBucket(100, 1), []

    def call() -> None:
        for _ in range(5):
            one.take(10)
            took.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 20
    assert max(took) - min(took) >= 0.18
