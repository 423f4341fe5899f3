"""What a job or a container wrote, from CloudWatch Logs, by byte cursor.

CloudWatch keeps lines and hands them out in pages, each with a token for the next; it knows no bytes. So we
remember with which token the page begins that a cursor is in. A reader that goes on from page to page then costs one
call for each; a cursor that we do not remember is looked for from the beginning.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from clusters.providers.aws.session import Session
from clusters.providers.base import LogPage
from clusters.providers.errors import NotFound, Refused
from controlplane.core.utf8 import incomplete_tail

Key = TypeVar("Key")
Value = TypeVar("Value")

# Lines come late: of one that has ended, so long its log may not be there yet, or not all of it.
STREAM_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 5.0
_LONGEST_CHARACTER_BYTES: Final = 4
_REMEMBERED: Final = 4096
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an output is: its stream, "" while there is none; `stopped` is None while it may go on."""

    account: str
    group: str
    stream: str
    stopped: datetime | None

    def is_over(self, now: datetime, wait_seconds: float) -> bool:
        return self.stopped is not None and now - self.stopped >= timedelta(seconds=wait_seconds)


@dataclass(frozen=True, slots=True)
class _Place:
    """The page that `token` gets begins at the byte `offset`. No token: the first page."""

    offset: int = 0
    token: str = ""


class Logs(Generic[Key]):
    """Pages of outputs; `source` tells where one is, or raises NotFound. For any thread."""

    def __init__(
        self,
        session: Session,
        source: Callable[[Key], Source],
        *,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._session = session
        self._source = source
        self._settle_seconds = settle_seconds
        self._places: _Recent[tuple[Key, int], _Place] = _Recent()
        self._stopped: _Recent[Key, Source] = _Recent()

    def read(self, key: Key, after: int, limit: int) -> LogPage:
        """At most `limit` bytes, of one page of CloudWatch."""
        now = datetime.now(UTC)  # before anything is asked: what is read then is all that was there
        source = self._stopped.get(key) or self._source(key)
        if source.stopped and source.stream:
            self._stopped.put(key, source)
        after, limit = max(after, 0), max(limit, _LONGEST_CHARACTER_BYTES)
        nothing = LogPage("", after, source.is_over(now, STREAM_SECONDS))
        if not source.stream:
            return nothing
        place = self._places.get((key, after)) or _Place()
        try:
            page = self._page(key, source, place, after, limit)
        except NotFound:  # it has a name before it is there
            return nothing
        except Refused:  # a token is good for a day
            if not place.token:
                raise
            page = self._page(key, source, _Place(), after, limit)
        return page or LogPage("", after, source.is_over(now, self._settle_seconds))

    def _page(self, key: Key, source: Source, place: _Place, after: int, limit: int) -> LogPage | None:
        """Go on from `place` to the page that has the byte `after`, and hand out of it what fits. None: no more."""
        while True:
            text, following = self._fetch(source, place)
            if place.offset + len(text) > after:
                break
            if following == place.token:
                return None
            place = _Place(place.offset + len(text), following)
            # A cursor at the end of a page stands at the beginning of the next.
            self._places.put((key, place.offset), place)
        begin = after - place.offset
        cut = text[begin : begin + limit]
        if begin + limit < len(text):
            cut = cut[: len(cut) - incomplete_tail(cut)]
        end = after + len(cut)
        at_end = end == place.offset + len(text)
        self._places.put((key, end), _Place(end, following) if at_end else place)
        return LogPage(cut.decode(errors="replace").replace("\0", ""), end, False)

    def _fetch(self, source: Source, place: _Place) -> tuple[bytes, str]:
        """A page's lines, and the token of the next: the same when this is the end."""
        asked: dict[str, Any] = {"logGroupName": source.group, "logStreamName": source.stream, "startFromHead": True}
        if place.token:
            asked["nextToken"] = place.token
        page = self._session.call(source.account, "logs", "GetLogEvents", **asked)
        text = "".join(f"{event['message']}\n" for event in page.get("events", []))
        return text.encode(errors="replace"), str(page["nextForwardToken"])


class _Recent(Generic[Key, Value]):
    """The newest of what was put; older ones are forgotten. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
