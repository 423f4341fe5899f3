"""Process trees on Linux: dying with one's parent, and seeing who is there."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def whole_tree_dies_with_parent(parent: int) -> None:
    """From now on this process and all that it forks end when their parent does, however it ended.

    `parent` is who started us: had it ended before the kernel was told, we are somebody else's child
    by now, and end at once.
    """
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)
    if os.getppid() != parent:
        os._exit(1)


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return "X"


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def living_tree(pid: int) -> frozenset[int]:
    """`pid` and its descendants that are alive: a zombie is not."""
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        current = ahead.pop()
        if _state(current) not in "ZX":
            found.add(current)
            ahead.extend(_children(current))
    return frozenset(found)
