"""Process trees on Linux: dying with one's parent, and seeing who is there."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent`, its parent, ends (prctl(2), PR_SET_PDEATHSIG).

    Had it ended before the kernel was told, we are somebody else's child by now, and end at once.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_own_pid = 0


def _forked() -> None:
    global _own_pid
    parent, _own_pid = _own_pid, os.getpid()
    die_with_parent(parent)


def whole_tree_dies_with_parent(parent: int) -> None:
    """From now on this process and all that it forks end when their parent does, however it ended.

    `parent` is who started us.
    """
    global _own_pid
    _own_pid = os.getpid()
    die_with_parent(parent)
    os.register_at_fork(after_in_child=_forked)


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


def living_tree(pid: int, levels: int = 99) -> frozenset[int]:
    """`pid` and its descendants that are alive, down to so many levels: a zombie is not."""
    found: set[int] = set()
    level = [pid]
    while level and levels:
        alive = [each for each in level if _state(each) not in "ZX"]
        found.update(alive)
        level = [child for each in alive for child in _children(each)]
        levels -= 1
    return frozenset(found)
