"""Times as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.times import parse_duration, parse_moment

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", timedelta(0)), ("P1D", timedelta(days=1)), ("PT36H", timedelta(hours=36)),
        ("PT1M", timedelta(minutes=1)), ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("PT0.5H", timedelta(minutes=30)), ("P2.5D", timedelta(days=2.5)), ("PT90S", timedelta(seconds=90)),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1", "1D", "P1H", "PT1D", "P-1D", "-P1D", "P1DT", "PT1S1H", "p1d", "P1D ", "P1D\n", "P1,5D",
     "P1e3D", "P1Y", "P1M", "P1W", "PTS", "P1234567D"],
)  # fmt: skip
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None
    assert parse_moment(text) is None


@given(st.integers(0, 9999), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_every_duration_is_read_as_it_was_written(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"P{days}DT{hours}H{minutes}M{seconds}S"
    assert parse_duration(text) == timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def test_a_duration_is_that_long_ago() -> None:
    moment = parse_moment("PT1H")
    assert moment is not None
    assert abs(datetime.now(UTC) - timedelta(hours=1) - moment) < timedelta(seconds=10)
    assert parse_moment("P999999D") is None  # before the first year


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES))
def test_every_time_with_a_zone_is_read_and_is_utc(moment: datetime) -> None:
    found = parse_moment(moment.isoformat())
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-03-01T12:00:00Z", 12), ("2026-03-01T12:00:00+02:00", 10), ("2026-03-01 12:00:00Z", 12)],
)
def test_z_and_offsets_are_zones(text: str, expected: int) -> None:
    assert parse_moment(text) == datetime(2026, 3, 1, expected, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T12:00:00", "2026-03-01", "12:00:00Z", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "now", "\0",
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-01T25:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_with_a_zone_is_none(text: str) -> None:
    assert parse_moment(text) is None


@given(st.text(max_size=40) | st.text("PTDHMS0123456789.-:Z+ ", max_size=40))
def test_no_text_is_too_much(text: str) -> None:
    moment = parse_moment(text)
    assert moment is None or moment.tzinfo is UTC
