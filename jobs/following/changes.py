"""Work of many jobs followed live: that something of it has changed, told without saying what.

A MapReduce job and a recipe change with every job of theirs. Each look asks for one moment per follower, whatever the
number of jobs: that at which anything of it changed last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db.models import OuterRef, Subquery

from controlplane.core import feeding
from controlplane.core.connections import give_back
from jobs.errors import JobNotFound, RecipeNotFound
from jobs.following.stream import PING_SECONDS, STREAM_SECONDS, Ping, Reconnect
from jobs.models import Job, Recipe

LEAST_SECONDS: Final = 1.0  # between two changes that are told
WAIT_SECONDS: Final = 2.0  # then a feeder that has died is started again


class Kind(StrEnum):
    MAPREDUCE = "mapreduce"
    RECIPE = "recipe"


Subject = tuple[Kind, int]


@dataclass(frozen=True, slots=True)
class Changed:
    """Something of it is other than it was; whoever follows on from `mark` misses no change after this one."""

    mark: str


class Follower(feeding.Follower):
    """Somebody who follows a subject. `mark` stands for how it is; None: it does not exist any more."""

    def __init__(self, subject: Subject, mark: str) -> None:
        super().__init__()
        self.subject = subject
        self.mark: str | None = mark


class Feeder(feeding.Feeder[Follower]):
    """Those who follow such work in this process."""

    name = "followers of changes"

    def look(self, followers: list[Follower]) -> bool:
        found = marks({follower.subject for follower in followers})
        was_news = False
        for follower in followers:
            if follower.mark != (mark := found.get(follower.subject)):
                follower.mark, was_news = mark, True
                follower.wake()
        return was_news


present = Feeder()


def marks(subjects: Iterable[Subject]) -> dict[Subject, str]:
    """What stands for how each of these is now; those that do not exist are left out. A statement for each kind."""
    wanted: dict[Kind, list[int]] = {kind: [] for kind in Kind}
    for kind, pk in subjects:
        wanted[kind].append(pk)
    found: dict[Subject, str] = {}
    if ids := wanted[Kind.MAPREDUCE]:
        parts = Job.objects.filter(parent=OuterRef("pk")).order_by("-modified_at", "-id").values("modified_at")[:1]
        rows = Job.objects.filter(pk__in=ids).annotate(last=Subquery(parts)).order_by()
        found |= _marks(Kind.MAPREDUCE, rows.values_list("pk", "modified_at", "last"))
    if ids := wanted[Kind.RECIPE]:
        jobs = Job.objects.filter(recipe=OuterRef("pk")).order_by("-modified_at").values("modified_at")[:1]
        recipes = Recipe.objects.filter(pk__in=ids).annotate(last=Subquery(jobs)).order_by()
        found |= _marks(Kind.RECIPE, recipes.values_list("pk", "modified_at", "last"))
    return found


def _marks(kind: Kind, rows: Iterable[Sequence[object]]) -> dict[Subject, str]:
    return {(kind, int(str(pk))): "/".join(_text(at) for at in moments) for pk, *moments in rows}


def _text(at: object) -> str:
    return at.isoformat() if isinstance(at, datetime) else "-"


def follow_changes(
    kind: Kind, pk: int, after: str = "", *, max_seconds: float = STREAM_SECONDS
) -> Iterator[Changed | Ping | Reconnect]:
    """Tell that it has changed, each time it has, until the time is over or it is gone.

    With the mark `after` of an earlier change it begins with one if there was another since. Whoever iterates holds no
    database connection. Raises, before anything is told: JobNotFound, RecipeNotFound, TooManyFollowers.
    """
    mark = marks([(kind, pk)]).get((kind, pk))
    if mark is None:
        raise JobNotFound if kind is Kind.MAPREDUCE else RecipeNotFound
    told = _told(Follower((kind, pk), mark), after or mark, max_seconds)
    next(told)  # begun: its end will be noted now, however the caller ends
    return told


def _told(follower: Follower, said: str, max_seconds: float) -> Iterator[Changed | Ping | Reconnect]:
    with present.place_of(follower):
        yield Ping()  # for `follow_changes`
        give_back()
        now = time.monotonic()
        ends, spoke = now + max_seconds, now - LEAST_SECONDS
        yield Ping()  # the stream is there
        while (mark := follower.mark) is not None and not follower.must_leave and (now := time.monotonic()) < ends:
            due = spoke + (LEAST_SECONDS if mark != said else PING_SECONDS)
            if now >= due:
                yield Changed(mark) if mark != said else Ping()
                said, spoke = mark, now
                continue
            present.ensure()
            follower.wait(max(0.0, min(due - now, WAIT_SECONDS, ends - now)))
        yield Reconnect()
