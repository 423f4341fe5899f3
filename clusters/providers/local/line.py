"""The works in the runner's hands, and the line of those that wait for room."""

from __future__ import annotations

from heapq import heappop, heappush

from clusters.providers.local import folders

_LARGEST = 2**31


class Malformed(Exception):
    """A message that no client of ours would send."""


class Work:
    """One execution as the runner sees it. `command` and `env` are dropped once it has started."""

    __slots__ = (
        "arrival",
        "command",
        "cuts",
        "deadlines",
        "env",
        "execution_id",
        "folder",
        "is_over",
        "isolate",
        "memory_mib",
        "mounts",
        "network",
        "pid",
        "priority",
        "shm_mib",
        "signalled",
        "started",
        "stop",
        "timeout_seconds",
        "vcpus_milli",
    )

    def __init__(self, root: str, wish: object) -> None:
        if not isinstance(wish, dict):
            raise Malformed("a work is not an object")
        self.execution_id = execution_id(wish.get("id"))
        self.folder = folders.folder_of(root, self.execution_id)
        self.command = texts(wish.get("command"))
        self.env = environment(wish.get("env", {}))
        self.vcpus_milli = number(wish.get("vcpus_milli"), 0)
        self.memory_mib = number(wish.get("memory_mib"), 0)
        timeout = wish.get("timeout_seconds")
        self.timeout_seconds = None if timeout is None else number(timeout, 0)
        self.priority = number(wish.get("priority", 100), -_LARGEST)
        self.isolate = wish.get("isolate") is True
        self.mounts = _mounts(wish.get("mounts", []))
        shm = wish.get("shm_mib")
        self.shm_mib = None if shm is None else number(shm, 0)
        self.network = wish.get("network") is not False
        self.arrival = 0
        self.pid = 0
        self.started = 0.0
        self.stop = ""  # the `end` it was asked to come to
        self.signalled = False  # and whether a signal of ours has reached it
        self.is_over = False
        self.deadlines = 0
        self.cuts: dict[str, tuple[int, int, int]] = {}

    def __lt__(self, other: Work) -> bool:
        return (self.priority, self.arrival) < (other.priority, other.arrival)


def execution_id(wish: object) -> str:
    """`wish`, if it is an execution's id."""
    if not isinstance(wish, str) or not folders.is_execution_id(wish):
        raise Malformed("not an execution id")
    return wish


def texts(wish: object) -> list[str]:
    """`wish`, if it is a list of strings."""
    if not isinstance(wish, list) or not all(isinstance(word, str) for word in wish):
        raise Malformed("not a list of strings")
    return wish


def environment(wish: object) -> dict[str, str]:
    """`wish`, if it is one."""
    if not isinstance(wish, dict) or not all(isinstance(value, str) for value in wish.values()):
        raise Malformed("not an environment")
    return wish


def _mounts(wish: object) -> list[tuple[str, str, bool]]:
    if not isinstance(wish, list):
        raise Malformed("not a list of mounts")
    found = []
    for mount in wish:
        if not isinstance(mount, list) or [type(each) for each in mount] != [str, str, bool]:
            raise Malformed("not a mount")
        found.append((mount[0], mount[1], mount[2]))
    return found


def number(wish: object, least: int) -> int:
    """`wish`, if it is a whole number, `least` or more, and of reasonable size."""
    if not isinstance(wish, int) or not least <= wish <= _LARGEST:
        raise Malformed("not a number we can count with")
    return wish


class Line:
    """What waits, by priority and arrival, and how much of the machine is taken.

    The first in line is not overtaken: a big one would never start otherwise. One that is bigger than
    the machine starts when the machine is empty.
    """

    def __init__(self, vcpus_milli: int, memory_mib: int) -> None:
        self._vcpus_milli = vcpus_milli
        self._memory_mib = memory_mib
        self._heap: list[Work] = []
        self._arrivals = 0
        self._running = 0
        self._memory_mib_used = 0
        self.vcpus_milli_used = 0
        self.waiting: dict[str, Work] = {}

    def add(self, work: Work) -> None:
        """Put `work` in line."""
        self._arrivals += 1
        work.arrival = self._arrivals
        self.waiting[work.execution_id] = work
        heappush(self._heap, work)

    def remove(self, execution_id: str) -> None:
        """Take one out of the line, if it is there."""
        if work := self.waiting.pop(execution_id, None):
            work.is_over = True
            work.env = {}

    def next(self) -> Work | None:
        """Take the first in line, and the room it needs; None when it has to wait."""
        heap = self._heap
        while heap and heap[0].is_over:
            heappop(heap)
        if not heap or not self._fits(heap[0]):
            return None
        work = heappop(heap)
        del self.waiting[work.execution_id]
        self._running += 1
        self.vcpus_milli_used += work.vcpus_milli
        self._memory_mib_used += work.memory_mib
        return work

    def leave(self, work: Work) -> None:
        """Give back the room of one that `next` returned."""
        self._running -= 1
        self.vcpus_milli_used -= work.vcpus_milli
        self._memory_mib_used -= work.memory_mib

    def _fits(self, work: Work) -> bool:
        return self._running == 0 or (
            self.vcpus_milli_used + work.vcpus_milli <= self._vcpus_milli
            and self._memory_mib_used + work.memory_mib <= self._memory_mib
        )
