"""Logs of long-running containers: what views ask, of whichever store has them. Whose one is is theirs to check.

With LOKI_URL that is a Loki; else it is the place that the container runs at, which tells what it keeps itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from django.conf import settings

from clusters.errors import LogsUnavailable
from clusters.providers.errors import NotFound, ProviderError
from clusters.providers.hosting import Hosting, Line
from clusters.telemetry import loki
from clusters.telemetry.log_lines import Severity, Told, read

logger = logging.getLogger("controlplane.telemetry")
# Lines that tell their time themselves are in order but for so much, since several threads write them.
_DISORDER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines of a container are wanted: those from `start` to before `end`, the newest `limit`.

    `phrase` stands in the line as it was written, in any case; `severity`: that one and worse ones. `created_at` is
    when the container was made, before which it wrote nothing. Times are aware.
    """

    container: UUID
    created_at: datetime
    start: datetime
    end: datetime
    limit: int = 100
    phrase: str = ""
    severity: Severity | None = None

    def wants(self, line: str, told: Told) -> bool:
        if self.severity is not None and told.severity.rank < self.severity.rank:
            return False
        return not self.phrase or self.phrase.casefold() in line.casefold()


@dataclass(frozen=True, slots=True)
class LogEntry:
    timestamp: datetime
    severity: Severity
    message: str


def newest(query: LogQuery, hosting: Hosting | None = None, handle: str = "") -> list[LogEntry]:
    """The newest entries first. `hosting` and `handle`: where the container runs, or ran; none if it never did.

    A line's time is when the store got it. Where a place keeps no times it is what the line says; a line that says
    none was written after the one before it and before the one after it that do: it is told with the earlier time
    (`created_at` where there is none) if that may have been in the time asked for.

    Raises LogsUnavailable (503), also when more was written than can be looked through for so many.
    """
    start = max(query.start, query.created_at)
    if query.limit < 1 or start >= query.end:
        return []
    try:
        lines = islice(_lines(query, start, hosting, handle), Hosting.LINES_AT_MOST)
        return list(islice(_entries(lines, query, start), query.limit))
    except NotFound:
        return []
    except ProviderError as error:
        logger.warning("the logs of container %s cannot be read: %s", query.container, error)
        raise LogsUnavailable from error


def _lines(query: LogQuery, start: datetime, hosting: Hosting | None, handle: str) -> Iterator[Line]:
    if settings.LOKI_URL:
        return loki.newest_lines(query.container, start, query.end, query.phrase)
    if not handle:
        return iter(())
    if hosting is None:
        raise LogsUnavailable("There are no logs here: LOKI_URL is not set, and the container's place keeps none.")
    return hosting.newest_lines(handle, start, query.end)


def _entries(lines: Iterable[Line], query: LogQuery, start: datetime) -> Iterator[LogEntry]:
    """What is wanted of `lines`, whose times are found out. Raises LogsUnavailable for too many, when all are taken."""
    waiting: list[Told] = []  # that say no time, newer than what comes next
    later: datetime | None = None  # when the line after them was written
    number = 0
    for line in lines:
        number += 1
        told = read(line.text)
        at = line.written_at or told.at
        wanted = bool(line.text.strip()) and query.wants(line.text, told)
        if at is None:
            waiting += [told] if wanted else []
            continue
        yield from _between(waiting, at, later, query, start)
        waiting, later = [], at
        if wanted and start <= at < query.end:
            yield LogEntry(at, told.severity, told.message)
        if at < start - _DISORDER:
            return
    yield from _between(waiting, query.created_at, later, query, start)
    if number >= Hosting.LINES_AT_MOST:
        raise LogsUnavailable("More was written than can be looked through: ask for a shorter time.")


def _between(
    lines: Iterable[Told], earlier: datetime, later: datetime | None, query: LogQuery, start: datetime
) -> Iterator[LogEntry]:
    """Lines that were written between two moments, now where there is no later one, if that may be what is wanted."""
    if earlier < query.end and (later is None or later >= start):
        for told in lines:
            yield LogEntry(earlier, told.severity, told.message)
