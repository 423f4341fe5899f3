"""A growing text as pieces in storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.core.storage.host import HostStorage
from controlplane.core.storage.parts import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(HostStorage(str(tmp_path)), "outputs/1/stdout")


def append(parts: Parts, *texts: str) -> None:
    pieces = parts.pieces()
    at = pieces[-1].end if pieces else 0
    for text in texts:
        parts.append(at, at + len(text.encode()), text)
        at += len(text.encode())


def whole(parts: Parts, limit: int) -> str:
    text, after, ended = "", 0, False
    while not ended:
        piece, after, ended = parts.read(after, limit)
        text += piece
    return text


def test_nothing_is_an_empty_text(parts: Parts) -> None:
    assert parts.read(0, 10) == ("", 0, True)
    assert parts.pieces() == []
    parts.delete()


@pytest.mark.parametrize("limit", [1, 4, 7, 1000])
def test_pages_make_up_the_whole_and_no_character_is_cut(parts: Parts, limit: int) -> None:
    texts = ["one äöü\n", "€𝄞", "\n", "the end"]
    append(parts, *texts)
    assert whole(parts, limit) == "".join(texts)


def test_a_cursor_inside_a_piece_goes_on_there(parts: Parts) -> None:
    append(parts, "0123456789", "abcdef")
    assert parts.read(4, 5) == ("45678", 9, False)
    assert parts.read(8, 100) == ("89", 10, False)
    assert parts.read(12, 100) == ("cdef", 16, True)
    assert parts.read(16, 100) == ("", 16, True)


def test_a_piece_written_twice_is_there_once(parts: Parts) -> None:
    for _ in range(2):
        parts.append(0, 3, "abc")
    assert whole(parts, 100) == "abc"


def test_a_text_longer_than_its_source_keeps_the_cursors_of_the_source(parts: Parts) -> None:
    parts.append(0, 2, "a�")  # of bytes that were no text
    parts.append(2, 4, "bc")
    assert parts.read(0, 100) == ("a�", 2, False)
    assert parts.read(2, 100) == ("bc", 4, True)


def test_of_a_long_text_head_and_tail_are_kept_and_the_gap_is_told(parts: Parts) -> None:
    append(parts, *[f"{number}" * 100 for number in range(10)])
    parts.trim(parts.pieces(), 400)
    assert [piece.start for piece in parts.pieces()] == [0, 100, 800, 900]
    assert whole(parts, 1000) == "0" * 100 + "1" * 100 + "[… 600 bytes left out …]\n" + "8" * 100 + "9" * 100
    assert parts.read(500, 1000) == ("[… 300 bytes left out …]\n" + "8" * 100, 900, False)
    append(parts, "x" * 100)
    parts.trim(parts.pieces(), 400)
    assert [piece.start for piece in parts.pieces()] == [0, 100, 900, 1000]


def test_deleted_it_is_gone(parts: Parts) -> None:
    append(parts, "abc", "def")
    parts.delete()
    assert parts.pieces() == []


def test_a_tail_is_the_end_over_as_many_pieces_as_it_takes(parts: Parts) -> None:
    assert parts.tail(10) == ""
    for start, text in ((0, "abc"), (3, "def"), (6, "ghi")):
        parts.append(start, start + 3, text)
    assert [parts.tail(limit) for limit in (2, 3, 5, 100)] == ["hi", "ghi", "efghi", "abcdefghi"]
