"""Keys go where Apollo has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mapreduce.worker.partition import apollo_hash, canonical_key, gob, streaming_partitions

pytestmark = pytest.mark.group("mapreduce")


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("abc", 3397102766), ("", 2391972778), ("the", 413909881), ("é", 1359708422), (1, 3429249195),
        (0, 2465713790), (-1.5, 3430632291), (3.25, 4275686472), (True, 519360291), (False, 502582672),
        ("x" * 200, 1957937173), (1.0, 3429249195),
    ],
)  # fmt: skip
def test_the_hash_is_that_of_go_1_19(key: str | float | bool, hashed: int) -> None:
    assert apollo_hash(key) == hashed


def test_gob_writes_length_type_and_value() -> None:
    assert gob("abc") == b"\x06\x0c\x00\x03abc"
    assert gob(True) == b"\x03\x02\x00\x01"
    assert gob("y" * 128) == b"\xff\x84\x0c\x00\xff\x80" + b"y" * 128


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a\tb\n", r'"a\tb\n"'), ("é", r'"\u00e9"'), (True, "true"), (False, "false"), (1, "1"), (1.0, "1"),
        (-0.0, "0"), (1.5, "1.5"), (2**53 + 1, "9007199254740993"), ("1", '"1"'), ("\ud800", r'"\ufffd"'),
        ("\ud83d\ude00", r'"\ud83d\ude00"'),
    ],
)  # fmt: skip
def test_equal_keys_have_one_name_and_others_another(key: object, name: str) -> None:
    assert canonical_key(key) == name


@pytest.mark.parametrize("key", [None, [1], {"a": 1}, float("inf"), float("nan")])
def test_what_cannot_be_hashed_is_no_key(key: object) -> None:
    with pytest.raises(ValueError, match="a key is"):
        canonical_key(key)


def test_a_number_beyond_all_floats_is_no_key() -> None:
    with pytest.raises(OverflowError):
        canonical_key(10**400)


@given(st.binary(max_size=20).filter(lambda key: b"\t" not in key), st.binary(max_size=20), st.integers(1, 1000))
def test_the_partition_of_a_line_is_that_of_its_key(key: bytes, value: bytes, partitions: int) -> None:
    whole, bare = streaming_partitions([key + b"\t" + value, key], partitions)
    assert whole == bare
    assert 0 <= whole < partitions


def test_the_partition_is_the_same_in_every_process() -> None:
    assert streaming_partitions([b"", b"the", b"\xff"], 100) == [0, 78, 80]
