"""Times as callers write them: ISO 8601, absolute or as a span before now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime

_DURATION: Final = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,6}(?:\.\d+)?)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,8}(?:\.\d+)?)H)?(?:(?P<minutes>\d{1,9}(?:\.\d+)?)M)?"
    r"(?:(?P<seconds>\d{1,10}(?:\.\d+)?)S)?)?"
)


def parse_duration(text: str) -> timedelta | None:
    """An ISO 8601 duration of days, hours, minutes and seconds (`P1DT2H`), fractions allowed; else None."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    return timedelta(**{unit: float(number) for unit, number in match.groupdict().items() if number})


def parse_moment(text: str) -> datetime | None:
    """An ISO 8601 date-time with its zone, or a duration, which means that long before now; else None."""
    if text.startswith("P"):
        duration = parse_duration(text)
        try:
            return None if duration is None else timezone.now() - duration
        except OverflowError:
            return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None
