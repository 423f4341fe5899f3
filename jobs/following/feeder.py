"""One thread per process that knows the present state of every job that somebody follows here.

It lives from the first follower to the last, takes a database connection for each look and gives it back,
so that followers need none however many there are. A fork leaves it behind: the child has its own. One
that has died is started again by the next follower that waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from controlplane.core.connections import give_back, mend
from jobs.errors import TooManyFollowers
from jobs.following.facts import JobFacts, look

logger = logging.getLogger("jobs.following")
LOOK_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 0.2  # after something changed, or when a follower knows that it has


class Follower:
    """Somebody who follows a job. `facts` are replaced, never changed; None: the job does not exist any more."""

    def __init__(self, job_id: int, facts: JobFacts) -> None:
        self.job_id = job_id
        self.facts: JobFacts | None = facts
        self.must_leave = False
        self._woken = threading.Event()

    def tell(self, facts: JobFacts | None) -> bool:
        """Whether that is news."""
        if facts == self.facts:
            return False
        self.facts = facts
        self._woken.set()
        return True

    def send_away(self) -> None:
        self.must_leave = True
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Until there is news of the job, at most so long."""
        self._woken.wait(seconds)
        self._woken.clear()


class Feeder:
    """The followers of this process, and the thread that looks for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._followers: set[Follower] = set()
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self._is_leaving = False

    @contextmanager
    def follower(self, job_id: int, facts: JobFacts) -> Iterator[Follower]:
        """A place among the followers. Raises TooManyFollowers."""
        joined = Follower(job_id, facts)
        with self._lock:
            if len(self._followers) >= settings.FOLLOWERS_AT_MOST:
                raise TooManyFollowers
            self._followers.add(joined)
            joined.must_leave = self._is_leaving
        try:
            self.ensure()
            yield joined
        finally:
            with self._lock:
                self._followers.discard(joined)
                if not self._followers:
                    self._hurry.set()

    def ensure(self) -> None:
        """Have the thread run."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="followers", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Look soon: an output has come to its end."""
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
                    self._thread = None
                    return
                followers = list(self._followers)
            pause = LOOK_AGAIN_SECONDS if self._look(followers) else min(pause * 1.5, LOOK_SECONDS)

    def _look(self, followers: list[Follower]) -> bool:
        """Tell them what is so now; whether anything was news."""
        try:
            found = look(sorted({follower.job_id for follower in followers}))
        except (DatabaseError, InterfaceError) as error:
            if not self._is_failing:
                logger.warning("no news for %d followers: %s", len(followers), error)
            self._is_failing = True
            mend()
            return False
        finally:
            give_back()
        self._is_failing = False
        news = [follower.tell(found.get(follower.job_id)) for follower in followers]
        return any(news)


present = Feeder()


def leave() -> None:
    """Let all streams of this process end; those who follow connect again, elsewhere. Safe in a signal handler."""
    present.send_all_away()


def _afresh() -> None:
    global present
    present = Feeder()


os.register_at_fork(after_in_child=_afresh)
