"""Every line belongs to one split, whatever the bytes and wherever the cuts."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mapreduce.worker import lines
from jobs.mapreduce.worker.errors import TaskFailed

pytestmark = pytest.mark.group("mapreduce")

TEXTS = st.lists(
    st.sampled_from(["", "a", "bb", "é", "三つ", "\r", "a\rb", "long " * 9, "\t", " "]), max_size=12
).flatmap(
    lambda words: st.tuples(
        st.just(words), st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(words), max_size=len(words))
    )
)


def plain(text: bytes) -> list[bytes]:
    """What reading the whole at once gives."""
    found = text.split(b"\n")
    if found[-1] == b"":
        found.pop()
    return [line.removesuffix(b"\r") for line in found]


def read_split(text: bytes, start: int, end: int) -> bytes:
    file = io.BytesIO(text)
    file.seek(lines.first_byte_read(start))
    return b"".join(lines.unix_lines(lines.split_blocks(file.read, start, end)))


def split_lines(block: bytes) -> list[bytes]:
    found = block.split(b"\n")
    assert found.pop() == b"", "each line ends with a newline"
    return found


@given(TEXTS, st.booleans(), st.integers(1, 40), st.sampled_from([1, 2, 3, 5, 1 << 20]))
def test_splits_have_all_lines_once_and_in_order(
    made: tuple[list[str], list[str]], ended: bool, split_bytes: int, block_bytes: int
) -> None:
    text = "".join(word + end for word, end in zip(*made, strict=True)).encode()
    if not ended:
        text = text.removesuffix(b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block_bytes)
        parts = [
            split_lines(read_split(text, start, min(start + split_bytes, len(text))))
            for start in range(0, len(text), split_bytes)
        ]
    assert [line for part in parts for line in part] == plain(text)


@given(st.binary(max_size=60), st.integers(1, 70))
def test_any_bytes_are_read_as_the_whole_is(text: bytes, split_bytes: int) -> None:
    parts = [read_split(text, start, min(start + split_bytes, len(text))) for start in range(0, len(text), split_bytes)]
    assert b"".join(parts) == b"".join(line + b"\n" for line in plain(text))


def test_a_line_belongs_to_the_split_of_its_first_byte() -> None:
    text = b"one\ntwo\nthree\n"
    assert read_split(text, 0, 4) == b"one\n"
    assert read_split(text, 0, 5) == b"one\ntwo\n"
    assert read_split(text, 4, 5) == b"two\n"
    assert read_split(text, 5, 8) == b""
    assert read_split(text, 5, 9) == b"three\n"


def test_a_line_longer_than_several_splits_is_whole_in_the_first() -> None:
    text = b"x" * 100 + b"\ny\n"
    assert read_split(text, 0, 10) == b"x" * 100 + b"\n"
    assert read_split(text, 10, 20) == read_split(text, 90, 101) == b""
    assert read_split(text, 101, 103) == b"y\n"


def test_an_object_that_ends_before_its_split_is_noticed() -> None:
    with pytest.raises(EOFError):
        read_split(b"one\ntwo\n", 0, 20)
    with pytest.raises(EOFError):
        read_split(b"one\ntwo\n", 15, 20)


def test_of_an_empty_object_nothing_is_read() -> None:
    assert read_split(b"", 0, 0) == b""


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_blocks_are_put_together_to_whole_lines(blocks: list[bytes]) -> None:
    found = list(lines.whole_lines(iter(blocks), 1000, "it"))
    text = b"".join(blocks)
    assert all(block.endswith(b"\n") for block in found)
    assert b"".join(found) == (text if text.endswith(b"\n") or not text else text + b"\n")


def test_a_line_that_is_too_long_is_refused_before_it_is_read_to_its_end() -> None:
    def blocks():
        yield b"ok\nalso\n"
        yield b"x" * 10
        yield b"x" * 10
        raise AssertionError("read on")

    with pytest.raises(TaskFailed, match=r"Line 2 \(from 0\) of it is longer than 15 bytes") as caught:
        list(lines.each_line(blocks(), 15, "it"))
    assert caught.value.code == "LINE_TOO_LONG"
    assert caught.value.facts == {"line": 2}
