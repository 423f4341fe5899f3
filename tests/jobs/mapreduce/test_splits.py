"""Splits: every byte is in one of them, and each can be had by its number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.mapreduce.splits import Split, count_of, splits

SIZES = st.lists(st.integers(0, 40), max_size=6)


def objects_of(sizes: list[int], packed: bool = False) -> list[dict[str, object]]:
    return [{"key": f"{n}.gz" if packed else str(n), "size": size} for n, size in enumerate(sizes)]


@given(SIZES, st.integers(1, 15))
def test_every_byte_is_in_one_split(sizes: list[int], split_bytes: int) -> None:
    found = list(splits(objects_of(sizes), split_bytes, 0, 1000))
    assert len(found) == count_of(objects_of(sizes), split_bytes)
    said = [(each.number, byte) for each in found for byte in range(each.start, each.end)]
    assert said == [(number, byte) for number, size in enumerate(sizes) for byte in range(size)]
    assert all(each.end - each.start <= split_bytes for each in found)


@given(SIZES, st.integers(1, 15), st.integers(0, 20), st.integers(0, 20))
def test_any_of_them_are_had_by_their_numbers(sizes: list[int], split_bytes: int, first: int, count: int) -> None:
    everything = list(splits(objects_of(sizes), split_bytes, 0, 1000))
    assert list(splits(objects_of(sizes), split_bytes, first, count)) == everything[first : first + count]


def test_what_is_compressed_is_one_split() -> None:
    found = list(splits(objects_of([10, 0, 5], packed=True), 4, 0, 10))
    assert found == [Split(0, 0, 10), Split(2, 0, 5)]
    assert count_of(objects_of([10, 0, 5], packed=True), 4) == 2
