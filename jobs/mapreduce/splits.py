"""Cutting input into the pieces that map tasks read. Bytes; each piece ends before the next one begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Split:
    """Bytes from `start` to before `end` of one object: the `number`-th of those that were found."""

    number: int
    start: int
    end: int

    def document(self) -> dict[str, int]:
        return {"object": self.number, "start": self.start, "end": self.end}


def count_of(objects: Sequence[dict[str, Any]], split_bytes: int) -> int:
    """How many splits there are."""
    return sum(_pieces(each, split_bytes) for each in objects)


def splits(objects: Sequence[dict[str, Any]], split_bytes: int, first: int, count: int) -> Iterator[Split]:
    """Those with the numbers `first`, … `first + count - 1`, as far as there are any. An empty object has none."""
    passed = 0
    for number, each in enumerate(objects):
        pieces = _pieces(each, split_bytes)
        step = each["size"] if _is_whole(each) else split_bytes
        for piece in range(max(0, first - passed), min(pieces, first + count - passed)):
            yield Split(number, piece * step, min((piece + 1) * step, each["size"]))
        passed += pieces
        if passed >= first + count:
            return


def _is_whole(found: dict[str, Any]) -> bool:
    """What is compressed cannot be cut."""
    return str(found["key"]).endswith(".gz")


def _pieces(found: dict[str, Any], split_bytes: int) -> int:
    if _is_whole(found):
        return 1 if found["size"] else 0
    return int(-(-found["size"] // split_bytes))
