"""A job followed live: what it writes and what becomes of it, told as it happens.

Each follower reads the output in its own thread, at its reader's speed: a slow one keeps one piece in memory
and holds up nobody. What becomes of the jobs is asked of the database by `feeder`, for all at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from clusters.providers.base import LogPage
from clusters.providers.errors import NotFound as ProviderNotFound
from clusters.providers.errors import ProviderError
from controlplane.core.connections import give_back
from jobs.following import feeder
from jobs.following.cursors import Cursor, known
from jobs.following.facts import ExecutionFacts, JobFacts
from jobs.following.outputs import ask, facts_of, first_cursor

STREAM_SECONDS: Final = 600.0
PING_SECONDS: Final = 15.0
PIECE_BYTES: Final = 2**16
MOVING_SECONDS: Final = 0.2
QUIET_SECONDS: Final = 1.0
SLOWER: Final = 1.5
_LONGEST_CHARACTER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Log:
    """A piece of output; whoever follows on from `cursor` misses nothing of what comes after it."""

    execution: int
    stream: str
    text: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Status:
    """The job's state (one of jobs.states), told first and at each change; `execution`: the number of its last one."""

    status: str
    reason: str
    execution: int | None


@dataclass(frozen=True, slots=True)
class End:
    """The job has ended and all its output was told."""

    status: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing has happened for a while, and the follower is still there."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The stream has had its time: follow on from the last cursor."""


Told = Log | Status | End | Ping | Reconnect


def follow(
    job_id: int,
    streams: Sequence[str],
    after: str = "",
    *,
    execution: int | None = None,
    max_seconds: float = STREAM_SECONDS,
) -> Iterator[Told]:
    """Tell what the job writes and becomes, from the cursor `after` on, until it has ended or the time is over.

    Without a cursor it begins with the job's last execution that started; it goes on with the next one when
    the job is tried again, unless `execution` is named: then it ends with that. Whoever iterates holds no
    database connection. Raises, before anything is told: JobNotFound, ExecutionNotFound, OutputGone,
    InvalidRequest, TooManyFollowers.
    """
    streams = known(streams)
    facts = facts_of(job_id)
    reader = _Reader(streams, first_cursor(facts, streams, after, execution), only=execution is not None)
    told = _told(job_id, facts, reader, max_seconds)
    next(told)  # begun: its end will be noted now, however the caller ends
    return told


def _told(job_id: int, facts: JobFacts, reader: _Reader, max_seconds: float) -> Iterator[Told]:
    with feeder.present.place_of(feeder.Follower(job_id, facts)) as follower:
        yield Ping()  # for `follow`
        give_back()
        now = spoke = time.monotonic()
        ends, pause = now + max_seconds, MOVING_SECONDS
        said: Status | None = None
        while (present := follower.facts) is not None and not follower.must_leave and time.monotonic() < ends:
            status = Status(present.status, present.reason, present.last.number if present.last else None)
            if status != said and not present.is_final:
                said, spoke = status, time.monotonic()
                yield status
            before = reader.cursor
            yield from reader.pieces(present)
            if reader.is_over(present):
                yield reader.end(present)
                return
            pause = MOVING_SECONDS if reader.cursor != before else min(pause * SLOWER, QUIET_SECONDS)
            if reader.cursor != before:
                spoke = time.monotonic()
            elif time.monotonic() - spoke >= PING_SECONDS:
                spoke = time.monotonic()
                yield Ping()
            if reader.has_more:
                continue
            if reader.is_ahead(present):
                feeder.present.hurry()
            feeder.present.ensure()
            follower.wait(min(pause, max(ends - time.monotonic(), 0.0)))
        yield Reconnect()


class _Reader:
    """Where a follower stands. `cursor` is None while there is no execution; `only`: stay with this one."""

    def __init__(self, streams: Sequence[str], cursor: Cursor | None, *, only: bool) -> None:
        self._streams = streams
        self._only = only
        self.cursor = cursor
        self.has_more = False
        self._is_drained = False
        self._is_told_ended = False

    def pieces(self, facts: JobFacts) -> Iterator[Log]:
        """What there is to read now, a piece of each stream. `facts` are from before: what they call ended is whole."""
        self.has_more = False
        if self.cursor is None:
            first = facts.to_read()
            if first is None:
                return
            self.cursor = Cursor.start(first.number, self._streams)
        chosen = facts.execution(self.cursor.execution)
        following = facts.after(self.cursor.execution)
        if chosen is not None and chosen.is_kept and chosen.has_started:
            yield from self._pieces_of(chosen, self.cursor)
        else:
            self._is_drained = chosen is None or chosen.has_ended
        if self._is_drained and following is not None and not self._only:
            self.cursor = Cursor.start(following.number, self._streams)
            self.has_more = True
            self._is_drained = False

    def _pieces_of(self, execution: ExecutionFacts, cursor: Cursor) -> Iterator[Log]:
        ended, stood = [], []
        for stream in self._streams:
            position = cursor.positions[stream]
            try:
                page = ask(execution, stream, position, PIECE_BYTES)
            except ProviderNotFound:
                page = LogPage("", position, ended=False)  # it left nothing, or not yet
            except ProviderError:
                ended.append(False)
                stood.append(False)  # asked again at the next turn
                continue
            ended.append(page.ended)
            stood.append(page.next_after == position)
            self.has_more |= page.next_after - position > PIECE_BYTES - _LONGEST_CHARACTER_BYTES
            # Kept before it is told: the reader may go away, and come again, with this piece.
            self.cursor = cursor = cursor.moved(stream, page.next_after)
            if page.text:
                yield Log(execution.number, stream, page.text, str(cursor))
        self._is_told_ended = all(ended)
        self._is_drained = execution.has_ended and (all(ended) or (execution.ends_in_silence and all(stood)))

    def is_ahead(self, facts: JobFacts) -> bool:
        """Does the output show an end that the database does not know of yet?"""
        chosen = facts.execution(self.cursor.execution) if self.cursor else None
        return self._is_told_ended and chosen is not None and not chosen.has_ended

    def is_over(self, facts: JobFacts) -> bool:
        """Will nothing come any more?"""
        if self.has_more:
            return False
        return self._is_drained if self._only else facts.is_final and (self.cursor is None or self._is_drained)

    def end(self, facts: JobFacts) -> End:
        chosen = facts.execution(self.cursor.execution) if self.cursor else None
        return End(facts.status, chosen.exit_code if chosen else None)
