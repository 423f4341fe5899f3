"""CPU seconds of process trees, ended children included: the figure to trust on a shared machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")


def _own(pid: int) -> float:
    """utime + stime + cutime + cstime of one process, in seconds (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def tree(roots: Sequence[int]) -> float:
    """CPU seconds that `roots` and all their descendants have used so far."""
    total = 0.0
    for root in roots:
        try:
            process = psutil.Process(root)
            total += _own(root) + sum(_own(child.pid) for child in process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return total


@dataclass(frozen=True)
class Measured:
    """What a piece of work took: seconds by the clock, CPU seconds of the watched trees and of ourselves."""

    wall: float
    watched: float
    own: float
    result: Any


def measure(roots: Sequence[int], work: Callable[[], Any]) -> Measured:
    before, own, start = tree(roots), time.process_time(), time.perf_counter()
    result = work()
    return Measured(time.perf_counter() - start, tree(roots) - before, time.process_time() - own, result)


def listener(port: int) -> int:
    """The pid of whoever listens on a port of 127.0.0.1."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
            return _oldest(connection.pid)
    raise LookupError(f"nobody listens on {port}")


def _oldest(pid: int) -> int:
    """The first process of the program that `pid` runs: a server's master, not its worker."""
    process = psutil.Process(pid)
    while (parent := process.parent()) is not None and parent.name() == process.name() and parent.pid != os.getpid():
        if parent.cmdline()[1:2] != process.cmdline()[1:2]:
            break
        process = parent
    return process.pid
