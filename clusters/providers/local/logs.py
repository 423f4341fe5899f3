"""Pages of what an execution wrote, by byte cursor."""

from __future__ import annotations

import os

from clusters.providers.base import LogPage
from clusters.providers.local import folders, logcap
from controlplane.core.utf8 import LONGEST_CHARACTER_BYTES, incomplete_tail


def read_page(folder: str, stream: str, after: int, limit: int) -> LogPage:
    """At most `limit` bytes of `stream` from `after` on.

    A cursor counts bytes as they were written; one inside the part that was left out goes on behind it.
    A page does not end inside a character, unless nothing more will come.
    """
    is_over = folders.has_ended(folder)  # asked first: what is read next is then all there is
    cut = logcap.read_cut(folder, stream)
    after, limit = max(after, 0), max(limit, LONGEST_CHARACTER_BYTES)
    start, end, shift = cut or (0, 0, 0)
    left_out = ""
    if cut and start <= after < end:
        left_out = _left_out(end - after)
        after = end
    if after < start:
        limit = min(limit, start - after)
    written, length = _read(f"{folder}/{stream}", after - (shift if after >= end else 0), limit)
    is_last = after + len(written) >= length + shift
    reaches_cut = cut is not None and after < start <= after + len(written)
    if not (is_last and is_over) and not reaches_cut:
        written = written[: len(written) - incomplete_tail(written)]
    text = written.decode(errors="replace").replace("\0", "")
    if left_out or not reaches_cut:
        return LogPage(left_out + text, after + len(written), is_over and is_last)
    newline = "" if text.endswith("\n") else "\n"
    return LogPage(text + newline + _left_out(end - start), end, is_over and length + shift <= end)


def read_tail(folder: str, stream: str, limit: int) -> str:
    """The last `limit` bytes of `stream`; nothing of one that is not there (yet)."""
    path = f"{folder}/{stream}"
    length = _read(path, 0, 0)[1]
    return _read(path, max(0, length - limit), limit)[0].decode(errors="replace").replace("\0", "")


def _left_out(count: int) -> str:
    return f"[… {count} bytes left out …]\n"


def _read(path: str, at: int, limit: int) -> tuple[bytes, int]:
    """Bytes of the file and its length; nothing of one that is not there (yet)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", 0
    try:
        return os.pread(fd, limit, at), os.fstat(fd).st_size
    finally:
        os.close(fd)
