"""How often we call, by a clock of the test's own."""

from __future__ import annotations

import threading

import pytest

from clusters.providers.errors import Throttled
from clusters.providers.throttle import Bucket

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")


class Clock:
    """Stands still but while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def bucket(clock: Clock, rate: float = 10.0) -> Bucket:
    return Bucket(rate, wait_seconds=2.0, clock=clock, sleep=clock.sleep)


def spent(clock: Clock, bucket: Bucket, calls: int) -> float:
    """The seconds that so many calls take."""
    begun = clock.now
    for _ in range(calls):
        bucket.take()
    return clock.now - begun


def test_a_burst_is_free_and_then_calls_come_at_the_rate() -> None:
    clock = Clock()
    of_ten = bucket(clock)
    assert spent(clock, of_ten, 10) == 0.0
    assert spent(clock, of_ten, 5) == pytest.approx(0.5)
    clock.now += 60
    assert spent(clock, of_ten, 10) == 0.0
    assert spent(clock, of_ten, 1) == pytest.approx(0.1)


def test_who_would_wait_too_long_is_told_how_long() -> None:
    clock = Clock()
    still = Bucket(10.0, wait_seconds=2.0, clock=clock, sleep=lambda seconds: None)
    for _ in range(30):  # ten at once, and twenty who wait up to two seconds
        still.take()
    with pytest.raises(Throttled) as told:
        still.take()
    assert told.value.retry_after_seconds == pytest.approx(2.1)


def test_it_stands_still_as_long_as_the_cloud_says() -> None:
    clock = Clock()
    slowed = bucket(clock)
    slowed.slow_down(1.0)
    assert spent(clock, slowed, 1) == pytest.approx(1.0 + 0.2), "then at half the rate"
    slowed.slow_down(5.0)
    with pytest.raises(Throttled) as told:
        slowed.take()
    assert told.value.retry_after_seconds > 5.0


def test_the_rate_is_halved_each_time_and_comes_back() -> None:
    clock = Clock()
    slowed = bucket(clock)
    slowed.slow_down(0.0)
    assert spent(clock, slowed, 5) == pytest.approx(1.0)
    slowed.slow_down(0.0)
    assert spent(clock, slowed, 5) == pytest.approx(2.0)
    for _ in range(20):
        slowed.slow_down(0.0)
    assert spent(clock, slowed, 1) == pytest.approx(1.6), "a sixteenth is the least"
    clock.now += 31
    slowed.take()
    clock.now += 60
    assert spent(clock, slowed, 10) == 0.0
    assert spent(clock, slowed, 5) == pytest.approx(0.5)


def test_threads_share_it() -> None:
    clock, refused = Clock(), []
    shared = Bucket(20.0, wait_seconds=0.0, clock=clock, sleep=clock.sleep)

    def call() -> None:
        for _ in range(10):
            try:
                shared.take()
            except Throttled:
                refused.append(1)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 20
