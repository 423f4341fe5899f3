"""Loki's HTTP API: a container's lines, the newest first, page by page."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from clusters.errors import LogsUnavailable
from clusters.providers.hosting import Line
from clusters.telemetry.promql import MetricLabel
from clusters.telemetry.quoting import literal, quoted
from controlplane.core.stores import AnswerTooLarge, CallFailed, Store, get

logger = logging.getLogger("controlplane.telemetry")
SECONDS: Final = 20.0
MAX_ANSWER_BYTES: Final = 32 * 2**20
# Loki lets a query have 5000 lines and look at 30 days and an hour, if nobody has set it otherwise.
LINES_AT_ONCE: Final = 1000
_DAYS_AT_ONCE: Final = timedelta(days=30)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_Entry = tuple[int, str]  # nanoseconds since 1970, and the line


def newest_lines(container: UUID, start: datetime, end: datetime, phrase: str = "") -> Iterator[Line]:
    """The lines with `phrase` in them, in any case, that were written from `start` to before `end`, the newest first.

    Older ones are asked for as they are taken. Raises LogsUnavailable.
    """
    query = f"{{{MetricLabel.INSTANCE}={quoted(str(container))}}}"
    if phrase:
        query += f" |~ {quoted(f'(?i){literal(phrase)}')}"
    first, last, span = _nanoseconds(start), _nanoseconds(end), _DAYS_AT_ONCE // _MICROSECOND * 1000
    while last > first:
        begin = max(first, last - span)
        entries = _page(query, begin, last)
        last = begin
        if len(entries) >= LINES_AT_ONCE:
            # Of the oldest moment there may be more: it is asked for again, unless it fills the page.
            oldest = entries[-1][0]
            newer = [entry for entry in entries if entry[0] > oldest]
            entries, last = (newer, oldest + 1) if newer else (entries, oldest)
        for at, text in entries:
            yield Line(text, _EPOCH + at // 1000 * _MICROSECOND)


def _nanoseconds(moment: datetime) -> int:
    return max(0, (moment - _EPOCH) // _MICROSECOND * 1000)


def _page(query: str, start: int, end: int) -> list[_Entry]:
    """LINES_AT_ONCE entries at most of one query, the newest first, whatever streams they are in."""
    store = Store(settings.LOKI_URL, settings.LOKI_USER, settings.LOKI_TOKEN, settings.LOKI_TENANT)
    asked = {
        "query": query,
        "start": str(start),
        "end": str(end),
        "limit": str(LINES_AT_ONCE),
        "direction": "backward",
    }
    try:
        answer = get(store, "/loki/api/v1/query_range", asked, seconds=SECONDS, max_bytes=MAX_ANSWER_BYTES)
    except (CallFailed, AnswerTooLarge) as error:
        logger.warning("Loki cannot be asked: %r", error)
        raise LogsUnavailable from error
    if answer.status != 200:
        # Its refusals are plain text.
        words = answer.body[:500].decode(errors="replace").strip()
        logger.warning("Loki answers %d %r to %s", answer.status, words, query[:2000])
        raise LogsUnavailable
    try:
        entries = list(_entries(json.loads(answer.body)))
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        logger.warning("Loki's answer cannot be read: %r", error)
        raise LogsUnavailable from error
    return sorted(entries, key=lambda entry: -entry[0])


def _entries(told: Any) -> Iterator[_Entry]:
    """Raises ValueError, TypeError or KeyError for what is no answer."""
    if told["status"] != "success" or told["data"]["resultType"] != "streams":
        raise ValueError("neither a success nor streams")
    for stream in told["data"]["result"]:
        for at, text, *_ in stream["values"]:
            if not isinstance(at, str) or not isinstance(text, str):
                raise TypeError("an entry is two texts")
            yield int(at), text
