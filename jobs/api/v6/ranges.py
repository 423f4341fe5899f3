"""Parts of a file that a reader asks for (RFC 9110, sections 13 and 14): one range, or all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_ONE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start`, `length` of them."""

    start: int
    length: int


class Unsatisfiable(Exception):
    """There is no such part."""


def wanted_part(headers: Mapping[str, str], size: int, etag: str) -> Part | None:
    """The one part that is asked for of a file of `size` bytes; None for all of it. Raises Unsatisfiable.

    Several ranges, or what is no range of bytes, may be answered with the whole, and are.
    """
    found = _ONE.fullmatch(headers.get("Range", ""))
    if found is None or found.groups() == ("", ""):
        return None
    if "If-Range" in headers and headers["If-Range"] != etag:
        return None
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end:
        raise Unsatisfiable
    return Part(start, end - start + 1)


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Does the reader have this already?"""
    told = headers.get("If-None-Match", "")
    return bool(etag) and (told.strip() == "*" or etag in {each.strip().removeprefix("W/") for each in told.split(",")})


def cut(chunks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The first `length` bytes."""
    try:
        while length > 0 and (chunk := next(chunks, b"")):
            yield chunk[:length]
            length -= len(chunk)
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
