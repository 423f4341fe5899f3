"""The event log followed live.

Each follower goes on at its reader's speed: a slow one keeps one piece in memory and holds up nobody. What is new is
read once for all by `feeder`; who is behind that reads pages of the log, and holds a connection for no longer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import DatabaseError, InterfaceError

from accounts.event_log import feeder
from accounts.event_log.choices import Choice, Wanted, choose
from accounts.event_log.reading import chosen, end_of_log
from accounts.event_log.told import Told
from accounts.models import User
from accounts.services.positions import number_events
from controlplane.core.connections import give_back, mend

STREAM_SECONDS: Final = 600.0
PING_SECONDS: Final = 15.0
PIECE_EVENTS: Final = 100
WAIT_SECONDS: Final = 2.0  # then a feeder that has died is started again


@dataclass(frozen=True, slots=True)
class News:
    """Events as (position, kind, JSON document), perhaps none; and the position to go on from, before which nothing
    is left to tell."""

    events: Sequence[tuple[int, str, str]]
    position: int


def follow(
    user: User, token: str, wanted: Wanted, after: int | None, *, max_seconds: float = STREAM_SECONDS
) -> Iterator[News]:
    """Tell `user` the wanted events behind the position `after` as they come; None: those from now on.

    Begins and ends with no events but the position, and says it every PING_SECONDS. Ends when the time is over, the
    process is about to end, the user is not any more what they were, or their `token` (empty without one) is no more.
    Whoever iterates holds no database connection. Raises TooManyFollowers before anything is told.
    """
    number_events()
    position = end_of_log() if after is None else after
    told = _told(feeder.Follower(user, token), choose(user, wanted), position, max_seconds)
    next(told)  # begun: its end will be noted now, however the caller ends
    return told


def _told(follower: feeder.Follower, choice: Choice, position: int, max_seconds: float) -> Iterator[News]:
    with feeder.present.place_of(follower):
        give_back()
        yield News((), position)  # for `follow`
        spoke = now = time.monotonic()
        ends = now + max_seconds
        yield News((), position)
        while not follower.must_leave and now < ends:
            before = position
            found, position = _next(choice, before)
            if found or now - spoke >= PING_SECONDS:
                spoke = now
                yield News([(each.position, each.kind, choice.text(each)) for each in found], position)
            if position == before:
                feeder.present.ensure()
                follower.wait(max(min(WAIT_SECONDS, spoke + PING_SECONDS - now, ends - now), 0.0))
            now = time.monotonic()
        yield News((), position)


def _next(choice: Choice, position: int) -> tuple[list[Told], int]:
    """Some of the chosen events behind the position, and the position that these lead to."""
    kept = feeder.present.after(position, PIECE_EVENTS)
    if kept:
        return [each for each in kept if choice.takes(each)], kept[-1].position
    if feeder.present.end <= position:
        return [], position
    try:
        return chosen(choice, position, PIECE_EVENTS)
    except (DatabaseError, InterfaceError):
        mend()
        return [], position
    finally:
        give_back()
