"""Where a piece of UTF-8 may be cut."""

from __future__ import annotations

import pytest

from controlplane.core.utf8 import incomplete_tail


@pytest.mark.parametrize(
    ("text", "count"),
    [(b"", 0), (b"abc", 0), ("aé".encode(), 0), (b"a\xc3", 1), (b"a\xe2\x82", 2), (b"\xf0\x9d\x84", 3), (b"\x82", 0)],
)
def test_an_unfinished_character_at_the_end_is_found(text: bytes, count: int) -> None:
    assert incomplete_tail(text) == count
