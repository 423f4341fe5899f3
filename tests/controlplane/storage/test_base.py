"""How bytes are cut and counted on their way."""

from __future__ import annotations

import hashlib

import pytest

from controlplane.core.storage import Stored, TooBig
from controlplane.core.storage.base import Measure, in_parts


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ([], [b""]),
        ([b"", b""], [b""]),
        ([b"abc"], [b"abc"]),
        ([b"abcd"], [b"abcd"]),
        ([b"abcd", b"efgh"], [b"abcd", b"efgh"]),
        ([b"abcdefghi"], [b"abcd", b"efgh", b"i"]),
        ([b"a", b"", b"bcd", b"ef"], [b"abcd", b"ef"]),
    ],
)
def test_parts_are_full_but_the_last_which_is_empty_only_alone(source: list[bytes], parts: list[bytes]) -> None:
    assert list(in_parts(source, 4)) == parts


def test_what_is_measured_goes_through_up_to_the_limit() -> None:
    measure = Measure(max_bytes=4)
    through = measure.through([b"ab", b"cd", b"e"])
    assert [next(through), next(through)] == [b"ab", b"cd"]
    assert measure.stored() == Stored(4, hashlib.sha256(b"abcd").hexdigest())
    with pytest.raises(TooBig, match="more than 4 bytes"):
        next(through)
