"""What a container wrote, from CloudWatch Logs, backwards from a moment: each run has a stream of its own."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from clusters.providers.aws.session import Session
from clusters.providers.errors import NotFound
from clusters.providers.hosting import Line

_EVENTS_AT_ONCE: Final = 1000
# Runs follow each other, but for the change to a new configuration: so many are put in order with each other.
_STREAMS_AT_ONCE: Final = 5
# CloudWatch says late what came last to a stream: by less than an hour, as a rule.
_LATE: Final = timedelta(hours=2)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def newest_lines(
    session: Session, account: str, group: str, begin: str, start: datetime, end: datetime
) -> Iterator[Line]:
    """The lines that were written from `start` to before `end` to streams whose names begin with `begin`.

    The newest first; older ones are asked for when they are taken. Of what is not there: none.
    """
    names = iter(_streams(session, account, group, begin, start, end))
    while some := list(itertools.islice(names, _STREAMS_AT_ONCE)):
        each = [_of_stream(session, account, group, name, start, end) for name in some]
        yield from heapq.merge(*each, key=attrgetter("written_at"), reverse=True)


def _streams(session: Session, account: str, group: str, begin: str, start: datetime, end: datetime) -> list[str]:
    """Those that may have lines of that time, the newest first."""
    try:
        pages = list(
            session.pages(account, "logs", "DescribeLogStreams", logGroupName=group, logStreamNamePrefix=begin)
        )
    except NotFound:
        return []
    first, last = _milliseconds(start - _LATE), _milliseconds(end)
    rows = [
        row
        for page in pages
        for row in page.get("logStreams", [])
        if int(row["creationTime"]) < last and int(row.get("lastEventTimestamp", first)) >= first
    ]
    return [str(row["logStreamName"]) for row in sorted(rows, key=lambda row: -int(row["creationTime"]))]


def _of_stream(session: Session, account: str, group: str, name: str, start: datetime, end: datetime) -> Iterator[Line]:
    asked: dict[str, Any] = {
        "logGroupName": group,
        "logStreamName": name,
        "startTime": _milliseconds(start),
        "endTime": _milliseconds(end),
        "startFromHead": False,
        "limit": _EVENTS_AT_ONCE,
    }
    while True:
        try:
            page = session.call(account, "logs", "GetLogEvents", **asked)
        except NotFound:  # it goes away when its time is over
            return
        for event in reversed(page.get("events", [])):
            yield Line(str(event["message"]), _EPOCH + int(event["timestamp"]) * _MILLISECOND)
        # A page may be empty though more follows: the end has the same token again.
        token = str(page["nextBackwardToken"])
        if token == asked.get("nextToken"):
            return
        asked["nextToken"] = token


def _milliseconds(moment: datetime) -> int:
    """Rounded up, for which no line of whole milliseconds is on the wrong side; none is from before 1970."""
    return max(0, -((_EPOCH - moment) // _MILLISECOND))
