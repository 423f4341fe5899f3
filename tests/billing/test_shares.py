"""Parts add up to what is shared out, and none is off by a whole one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.shares import rounded, share

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (100, [3, 1], [75, 25]),
        (1, [1, 2], [0, 1]),
        (5, [0, 0], [0, 0]),
        (0, [4, 2], [0, 0]),
        (7, [], []),
    ],
)
def test_the_largest_remainders_get_what_is_left(total: int, weights: list[int], parts: list[int]) -> None:
    assert share(total, weights) == parts


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**50), min_size=1))
def test_shares_add_up_and_none_is_off_by_one(total: int, weights: list[int]) -> None:
    parts, whole = share(total, weights), sum(weights)
    assert sum(parts) == (total if whole else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert not whole or abs(part * whole - total * weight) < whole


@given(st.lists(st.integers(-(10**18), 10**18)), st.sampled_from([1, 10, 10**7]))
def test_rounded_parts_come_to_the_rounded_sum(exact: list[int], unit: int) -> None:
    parts = rounded(exact, unit)
    assert abs(sum(parts) * unit - sum(exact)) * 2 <= unit
    assert all(abs(part * unit - each) < unit for part, each in zip(parts, exact, strict=True))


def test_half_a_cent_is_rounded_up() -> None:
    assert rounded([5], 10) == [1]
    assert rounded([4], 10) == [0]
    assert rounded([-5], 10) == [0]
    assert rounded([3, 3, 3], 10) == [1, 0, 0]
