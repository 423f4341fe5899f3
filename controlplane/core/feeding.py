"""One thread per process that finds the news for all who follow something here, however many they are.

It lives from the first follower to the last, takes a database connection for each look and gives it back, so that
followers need none. A fork leaves it behind: the child has its own. One that has died is started again by the next
follower that waits. Followers of every kind share one room: each holds a thread of the web server.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from controlplane.core.connections import give_back, mend
from controlplane.core.errors import TooManyFollowers

logger = logging.getLogger("controlplane.feeding")
LOOK_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 0.2  # after something changed, or when a follower knows that it has


class Follower:
    """Somebody who waits for news."""

    def __init__(self) -> None:
        self.must_leave = False
        self._woken = threading.Event()

    def wake(self) -> None:
        """There is news."""
        self._woken.set()

    def send_away(self) -> None:
        self.must_leave = True
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Until there is news, at most so long."""
        self._woken.wait(seconds)
        self._woken.clear()


F = TypeVar("F", bound=Follower)


class Feeder(ABC, Generic[F]):
    """The followers of one thing in this process, and the thread that looks for them.

    `name` is the thread's; `look_seconds`: the longest time between two looks.
    """

    name = "followers"
    look_seconds = LOOK_SECONDS

    def __init__(self) -> None:
        self._begin()
        feeders.append(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._followers: set[F] = set()
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self._is_leaving = False

    @abstractmethod
    def look(self, followers: list[F]) -> bool:
        """Ask the database, and tell the followers what is so now; whether anything was news."""

    def rest(self) -> None:
        """Nobody follows any more: what was kept for followers may go."""

    @contextmanager
    def place_of(self, follower: F) -> Iterator[F]:
        """A place among the followers. Raises TooManyFollowers."""
        with _room:
            if sum(len(feeder._followers) for feeder in feeders) >= settings.FOLLOWERS_AT_MOST:
                raise TooManyFollowers
            with self._lock:
                self._followers.add(follower)
                follower.must_leave = self._is_leaving
        try:
            self.ensure()
            yield follower
        finally:
            with self._lock:
                self._followers.discard(follower)
                if not self._followers:
                    self._hurry.set()

    def ensure(self) -> None:
        """Have the thread run."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Look soon: a follower knows that something has changed."""
        self._hurry.set()

    def send_all_away(self) -> None:
        """Let every follower end: the process is about to."""
        self._is_leaving = True
        for follower in list(self._followers):
            follower.send_away()

    def _run(self) -> None:
        pause = LOOK_AGAIN_SECONDS
        while True:
            time.sleep(LOOK_AGAIN_SECONDS)  # however many hurry
            self._hurry.wait(pause - LOOK_AGAIN_SECONDS)
            self._hurry.clear()
            with self._lock:
                if not self._followers:
                    self.rest()
                    self._thread = None
                    return
                followers = list(self._followers)
            pause = LOOK_AGAIN_SECONDS if self._look(followers) else min(pause * 1.5, self.look_seconds)

    def _look(self, followers: list[F]) -> bool:
        try:
            was_news = self.look(followers)
        except (DatabaseError, InterfaceError) as error:
            if not self._is_failing:
                logger.warning("no news for %d %s: %s", len(followers), self.name, error)
            self._is_failing = True
            mend()
            return False
        finally:
            give_back()
        self._is_failing = False
        return was_news


feeders: list[Feeder[Any]] = []
_room = threading.Lock()


def leave() -> None:
    """Let all streams of this process end; those who follow connect again, elsewhere. Safe in a signal handler."""
    for feeder in feeders:
        feeder.send_all_away()


def _afresh() -> None:
    global _room
    _room = threading.Lock()
    for feeder in feeders:
        feeder._begin()
        feeder.rest()


os.register_at_fork(after_in_child=_afresh)
