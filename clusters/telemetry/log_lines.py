"""What a line of a container's output says of itself: how bad it is, when it was, and what.

Containers write what they like. A line that is a JSON object is read by the names that the common loggers give
(Elixir's, pino, zap, those of Python); of any other a word such as `[error]` at its beginning tells how bad it is, and
all of it is the message.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final


class Severity(enum.StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return _ORDER.index(self)


_ORDER: Final = tuple(Severity)
_TIMES: Final = ("time", "timestamp", "ts", "@timestamp", "asctime")
_LEVELS: Final = ("level", "severity", "lvl", "levelname", "log.level")
_MESSAGES: Final = ("message", "msg")
_WORDS: Final = {
    "trace": Severity.DEBUG,
    "debug": Severity.DEBUG,
    "info": Severity.INFO,
    "notice": Severity.INFO,
    "warn": Severity.WARNING,
    "warning": Severity.WARNING,
    **dict.fromkeys(
        ("err", "error", "crit", "critical", "alert", "emerg", "emergency", "fatal", "panic", "dpanic"), Severity.ERROR
    ),
}
_WORD: Final = "|".join(_WORDS)
_BEFORE: Final = r"[\[\]\d\s:.,TZ/+-]{0,40}"  # a time, if anything
# `12:00:00.123 room=a [error] …`: what stands before it has no brackets. Or `Error: …`, `2026-01-01 ERROR …`.
_IN_BRACKETS: Final = re.compile(rf"[^\[\]]{{0,200}}\[\s*({_WORD})\s*\]", re.IGNORECASE)
_WITH_COLON: Final = re.compile(rf"{_BEFORE}({_WORD})\s*:", re.IGNORECASE)
_IN_CAPITALS: Final = re.compile(rf"{_BEFORE}({_WORD.upper()})\b")
_TIME: Final = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# How numbers count the time since 1970, by how large they are: in s, ms, µs, ns, all of them of the years 1973 to 5138.
_UNITS: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


@dataclass(frozen=True, slots=True)
class Told:
    """`at`: aware UTC, None where the line says no time."""

    at: datetime | None
    severity: Severity
    message: str


def read(line: str) -> Told:
    """What `line` says. Whatever it is, it is a message."""
    line = _COLOURS.sub("", line).rstrip("\r\n")
    if line.lstrip().startswith("{"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return _of_object(found, line)
    return _of_text(line)


def _of_object(found: Mapping[str, Any], line: str) -> Told:
    message = _first(found, _MESSAGES)
    if message is None:
        message = line
    elif not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False)
    return Told(_moment(_first(found, _TIMES)), _severity(_first(found, _LEVELS)), message)


def _first(found: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _severity(level: Any) -> Severity:
    """By its word; or by its number, as pino counts: 30 is info, 40 warning, 50 error."""
    if isinstance(level, str):
        return _WORDS.get(level.strip().lower(), Severity.INFO)
    if isinstance(level, bool) or not isinstance(level, int | float):
        return Severity.INFO
    if level >= 50:
        return Severity.ERROR
    if level >= 40:
        return Severity.WARNING
    return Severity.INFO if level >= 30 else Severity.DEBUG


def _moment(value: Any) -> datetime | None:
    """A time as loggers write it: ISO 8601, in UTC if it has no zone, or a number since 1970."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _moment_of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    per_second = next((unit for limit, unit in _UNITS if value < limit), None)
    return None if per_second is None else _EPOCH + timedelta(seconds=value / per_second)


def _moment_of_text(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _of_text(line: str) -> Told:
    time = _TIME.match(line)
    word = _IN_BRACKETS.match(line) or _WITH_COLON.match(line) or _IN_CAPITALS.match(line)
    severity = _WORDS[word[1].lower()] if word else Severity.INFO
    return Told(_moment_of_text(time[1]) if time else None, severity, line)
