"""Pieces lie within their hours and come to what they are cut from."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import hours, money

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # bounds are naive


@given(MOMENTS, st.timedeltas(timedelta(days=-2), timedelta(days=40)))
def test_pieces_are_whole(begun: datetime, lasted: timedelta) -> None:
    first, last = hours.milliseconds(begun), hours.milliseconds(begun + lasted)
    found = list(hours.pieces(first, last))
    assert sum(end - start for start, end in found) == max(0, last - first)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    for start, end in found:
        assert start < end
        assert hours.hour_of(hours.moment_of(start)) == hours.hour_of(hours.moment_of(end - 1))


@given(
    st.decimals(0, 10**6, places=10),
    st.lists(st.integers(0, hours.HOUR_MS), min_size=1, max_size=30),
)
def test_costs_of_parts_come_to_the_cost_of_all(rate: Decimal, lengths: list[int]) -> None:
    at, total = 0, 0
    for each in lengths:
        total += money.cost_between(rate, at, at + each)
        at += each
    assert total == money.cost(rate, at)


def test_months_are_of_utc() -> None:
    late = datetime(2026, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    assert hours.month_of(late) == date(2026, 2, 1)
    assert hours.hour_of(late) == datetime(2026, 2, 1, 1, tzinfo=UTC)
    assert hours.next_month(date(2026, 12, 1)) == date(2027, 1, 1)
    assert hours.begin(date(2026, 2, 1)) == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("nano", "told"), [(0, "0"), (1_500_000_000, "1.5"), (-10_000_000, "-0.01"), (1, "0.000000001"), (10**12, "1000")]
)
def test_amounts_are_told_in_dollars(nano: int, told: str) -> None:
    assert money.text(nano) == told
    assert money.nano(money.usd(nano)) == nano


@pytest.mark.parametrize(
    ("text", "month"),
    [("2026-03", date(2026, 3, 1)), ("2999-12", date(2999, 12, 1)), *((each, None) for each in
     ("", "2026-3", "2026-00", "2026-13", "2026-03-01", "1999-01", "0001-01", "9999-12", "٢٠٢٦-٠٣", "2026-03\n"))],
)  # fmt: skip
def test_months_are_read_as_they_are_written(text: str, month: date | None) -> None:
    assert hours.parse_month(text) == month
