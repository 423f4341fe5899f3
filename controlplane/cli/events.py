"""Server-sent events: a stream that is taken up where it broke off (the WHATWG's format of text/event-stream)."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import urllib3

from controlplane.cli.client import Client, Query, pieces
from controlplane.cli.errors import Unreachable

# In a row, without anything new in between.
BREAKS_AT_MOST: Final = 8
LASTED_SECONDS: Final = 10.0  # a connection that lived so long was a good one, if a silent one
PAUSE_SECONDS: Final = 0.25
PAUSE_AT_MOST_SECONDS: Final = 5.0
# Nothing is there to be followed yet: ask again.
NOTHING_YET_SECONDS: Final = 1.0
LONGEST_LINE: Final = 16 * 1024 * 1024
_LINE: Final = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is where the stream goes on after it."""

    kind: str
    data: str
    id: str = ""


class Parser:
    """Makes events of bytes, wherever they were cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._first = True
        self._kind, self._data, self._id = "", list[str](), ""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that `piece` completes."""
        self._rest += self._decoder.decode(piece)
        if self._first and self._rest:
            self._rest, self._first = self._rest.removeprefix("\ufeff"), False
        *lines, self._rest = _LINE.split(self._rest)
        if len(self._rest) > LONGEST_LINE:
            raise Unreachable("the stream holds a line without an end")
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatched()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._kind = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        return None  # a comment, or what we do not know

    def _dispatched(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Event(kind, "\n".join(data), self._id) if data or kind != "message" else None


def follow(
    client: Client, path: str, query: Query, *, last: str = "", gone: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """The events at `path` until `end`, across broken connections: each goes on after the last event seen.

    `gone` is asked while the server has nothing to follow; true ends. Raises Failure; Unreachable after
    many connections in a row that brought nothing.
    """
    breaks = 0
    while True:
        waits, began = False, time.monotonic()
        try:
            with client.stream(path, query, _headers(last)) as answer:
                waits = answer.status == 204
                for event in _events(answer):
                    if event.kind == "reconnect" or event.id not in ("", last):
                        breaks = 0
                    last = event.id or last
                    yield event
                    if event.kind == "end":
                        return
        except Unreachable as broken:
            if not broken.may_pass or breaks >= BREAKS_AT_MOST:
                raise
        if waits:
            if gone():
                return
            time.sleep(NOTHING_YET_SECONDS)
            continue
        if time.monotonic() - began > LASTED_SECONDS:
            breaks = 0
        if breaks >= BREAKS_AT_MOST:
            raise Unreachable("the stream breaks off again and again")
        time.sleep(min(PAUSE_SECONDS * 2**breaks, PAUSE_AT_MOST_SECONDS))
        breaks += 1


def _headers(last: str) -> dict[str, str]:
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
    return headers | {"Last-Event-ID": last} if last.isascii() and last.isprintable() and last else headers


def _events(answer: urllib3.BaseHTTPResponse) -> Iterator[Event]:
    parser = Parser()
    for piece in pieces(answer):
        yield from parser.feed(piece)
