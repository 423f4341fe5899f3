"""Bound what a command writes: of each stream the head and the tail are kept, the middle is given back to the disk.

The command writes into the file itself, so nothing can stand in between. A hole is punched instead: the
file keeps its length, offsets stay true and the writer notices nothing. `<stream>.cut` holds
[start, end, shift], the part left out in offsets of what was written, and by how much the file is
shorter than that.

Where the filesystem cannot punch holes (some network and FUSE ones), the file is cut back to its head
instead: the tail is then only what was written after the last cut, `shift` grows by what was dropped, and
bytes written during the cut are lost uncounted.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Final

from clusters.providers.local import folders

STREAMS: Final = ("stdout", "stderr")
Cut = tuple[int, int, int]

_BLOCK = 4096
_KEEP_SIZE_AND_PUNCH_HOLE = 0x01 | 0x02
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def trim(folder: str, stream: str, cap_bytes: int, slack_bytes: int, before: Cut | None) -> Cut | None:
    """Cut `stream` if more than `cap_bytes` and `slack_bytes` of it are kept. `before` is what was cut of it so far."""
    path = f"{folder}/{stream}"
    try:
        size = os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return before
    start, end, shift = before or (0, 0, 0)
    if size + shift - (end - start) <= cap_bytes + slack_bytes:
        return before
    half = cap_bytes // 2 // _BLOCK * _BLOCK
    to = (size + shift - half) // _BLOCK * _BLOCK
    if to <= max(half, end):
        return before  # not a block more than what is to be kept
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _cut(fd, path, (half, to, shift))
    finally:
        os.close(fd)


def read_cut(folder: str, stream: str) -> Cut | None:
    """What was cut of `stream`, None when nothing was."""
    try:
        with open(f"{folder}/{stream}.cut", encoding="ascii") as file:
            start, end, shift = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return int(start), int(end), int(shift)


def _cut(fd: int, path: str, cut: Cut) -> Cut:
    # The note first: a reader between the two steps then skips what is about to go.
    start, end, shift = cut
    if not shift:
        folders.write_whole(path + ".cut", json.dumps(cut))
        if _punch(fd, start, end - start):
            return cut
    written = os.fstat(fd).st_size + shift
    cut = (start, written, written - start)
    folders.write_whole(path + ".cut", json.dumps(cut))
    os.ftruncate(fd, start)
    return cut


def _punch(fd: int, start: int, length: int) -> bool:
    # ctypes is loaded by the first long log only: most runners never need its memory.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, _KEEP_SIZE_AND_PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(length)) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNSUPPORTED:
        return False
    raise OSError(error, os.strerror(error))
