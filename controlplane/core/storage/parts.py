"""A text that grows, in storage that can only write whole files: each piece is a file of its own.

<prefix>/<start>-<end>, both in the bytes of the text's source, so that a cursor there is a cursor here. Pieces are
written once, in order; those in the middle may be deleted, and what is left out is told to the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from controlplane.core.storage.base import Storage
from controlplane.core.utf8 import LONGEST_CHARACTER_BYTES, incomplete_tail

_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class Piece:
    """One file: the text from byte `start` up to `end` of its source. Larger or smaller where bytes were no text."""

    path: str
    start: int
    end: int
    size: int


class Parts:
    """The pieces below `prefix`. Its methods raise the errors of the storage."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix

    def pieces(self) -> list[Piece]:
        """All there are, in order."""
        found = []
        for path, size in self._storage.walk(self._prefix):
            start, _, end = path.rpartition("/")[2].partition("-")
            found.append(Piece(path, int(start), int(end), size))
        return found

    def append(self, start: int, end: int, text: str) -> None:
        """Write the piece of the source's bytes from `start` to `end`. Written twice, it is the same."""
        self._storage.put(f"{self._prefix}/{start:0{_DIGITS}}-{end:0{_DIGITS}}", [text.encode()])

    def trim(self, pieces: Sequence[Piece], most: int) -> None:
        """Delete pieces in the middle, so that about `most` bytes are left: half of them the first, half the last."""
        head = tail = 0
        kept: set[str] = set()
        for piece in pieces:
            head += piece.size
            if head > most // 2:
                break
            kept.add(piece.path)
        for piece in reversed(pieces):
            tail += piece.size
            if tail > most // 2 and kept:
                break
            kept.add(piece.path)
        for piece in pieces:
            if piece.path not in kept:
                self._storage.delete(piece.path)

    def read(self, after: int, limit: int) -> tuple[str, int, bool]:
        """Text from `after` on, about `limit` bytes at most; the cursor that goes on; whether nothing follows."""
        pieces = self.pieces()
        at = next((i for i, piece in enumerate(pieces) if piece.end > after), None)
        if at is None:
            return "", after, True
        piece, is_last = pieces[at], at == len(pieces) - 1
        told = f"[… {piece.start - after} bytes left out …]\n" if piece.start > after else ""
        skip = max(0, after - piece.start)
        content = b"".join(self._storage.get(piece.path, skip)) if skip < piece.size else b""
        limit = max(limit, LONGEST_CHARACTER_BYTES)
        if len(content) > limit and piece.size == piece.end - piece.start:
            content = content[:limit]
            content = content[: len(content) - incomplete_tail(content)]
            return told + content.decode(errors="replace"), max(after, piece.start) + len(content), False
        return told + content.decode(errors="replace"), piece.end, is_last

    def tail(self, limit: int) -> str:
        """The last `limit` bytes or so of what there is."""
        found, missing = b"", limit
        for piece in reversed(self.pieces()):
            found = b"".join(self._storage.get(piece.path, max(0, piece.size - missing))) + found
            missing = limit - len(found)
            if missing <= 0:
                break
        return found[-limit:].decode(errors="replace")

    def delete(self) -> None:
        """Remove all of it."""
        for piece in self.pieces():
            self._storage.delete(piece.path)
