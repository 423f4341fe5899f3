"""The processes of this machine by session, from /proc: how everything a job started is found and signalled."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from clusters.providers.local.folders import Started

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_START_TOLERANCE_SECONDS = 2.0
_GONE_WITHIN_SECONDS = 10.0
_KILL_PASSES = 5


class Process(NamedTuple):
    """One living process (zombies are none, save for `leads`)."""

    pid: int
    name: str
    session: int
    boot_seconds: float  # when it started, since boot
    is_zombie: bool


def boot_id() -> str:
    """The name of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def processes() -> Iterator[Process]:
    """Every process there is now."""
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        if process := _process(entry):
            yield process


def leads(record: Started, boot: str) -> bool:
    """Whether the recorded process still runs, and is not a later one of the same number."""
    if "pid" not in record or record.get("boot") != boot:
        return False
    process = _process(str(record["pid"]))
    return process is not None and not process.is_zombie and _is_as_old(process, record)


def _process(entry: str) -> Process | None:
    try:
        fd = os.open(f"/proc/{entry}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _parse(os.read(fd, 4096).decode(errors="replace"))
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)


def _parse(line: str) -> Process:
    # "pid (name) state parent group session ... start"; the name may hold anything, so cut at the last ")"
    head, _, tail = line.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    return Process(int(pid), name, int(fields[3]), int(fields[19]) / _TICKS_PER_SECOND, fields[0] in "ZX")


def living(sessions: Collection[int]) -> dict[int, list[Process]]:
    """The living members of each of `sessions`, by one look through /proc."""
    found: dict[int, list[Process]] = {session: [] for session in sessions}
    for process in processes():
        if process.session in found and not process.is_zombie:
            found[process.session].append(process)
    return found


def send(members: Iterable[Process], signum: int) -> int:
    """Signal each; how many were reached."""
    reached = 0
    for process in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signum)
            reached += 1
    return reached


def kill(sessions: Collection[int]) -> set[int]:
    """SIGKILL all of each session, with what they fork meanwhile; the sessions that had somebody alive."""
    reached: set[int] = set()
    for _ in range(_KILL_PASSES):
        found = {session: members for session, members in living(sessions).items() if members}
        if not found:
            break
        for session, members in found.items():
            kill_group(session)
            if send(members, signal.SIGKILL):
                reached.add(session)
    return reached


def kill_group(group: int) -> None:
    """SIGKILL a process group at one stroke; none there is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def end_orphans(orphans: Mapping[str, Started], boot: str) -> set[str]:
    """Kill what a dead runner left running in each folder (real paths), and wait until it is gone.

    Returns the folders with processes that would not die.
    """
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while left := _orphan_processes(orphans, boot):
        if time.monotonic() > deadline:
            return set(left)
        for members in left.values():
            send(members, signal.SIGKILL)
        time.sleep(0.01)
    return set()


def _orphan_processes(orphans: Mapping[str, Started], boot: str) -> dict[str, list[Process]]:
    by_session: dict[int, list[Process]] = defaultdict(list)
    for process in processes():
        if process.pid != os.getpid():
            by_session[process.session].append(process)
    found: dict[str, list[Process]] = {}
    for folder, record in orphans.items():
        if "pid" in record:
            members = _members(folder, record, by_session) if record.get("boot") == boot else []
        else:  # killed between the spawn and its note: the process can only be known by where it is
            members = [p for group in by_session.values() if _is_at(folder, group) for p in group]
        if alive := [process for process in members if not process.is_zombie]:
            found[folder] = alive
    return found


def _members(folder: str, record: Started, by_session: Mapping[int, list[Process]]) -> list[Process]:
    """The members of the recorded session, if it is still that one and not a later one of the same number.

    While a session has a member its number is not given out again. With its leader there, the leader's
    start time decides. Without, one member at least must be at work in the execution's folder.
    """
    pid, members = record["pid"], by_session.get(record["pid"], [])
    leader = next((process for process in members if process.pid == pid), None)
    if leader is None:
        return members if _is_at(folder, members) else []
    return members if _is_as_old(leader, record) else []


def _is_as_old(leader: Process, record: Started) -> bool:
    return -0.1 <= record["boot_seconds"] - leader.boot_seconds <= _START_TOLERANCE_SECONDS


def _is_at(folder: str, members: Iterable[Process]) -> bool:
    """Whether one of `members` has its current directory, input or output in `folder`."""
    for process in members:
        for link in ("cwd", "fd/0", "fd/1", "fd/2"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process.pid}/{link}").startswith(folder + "/"):
                    return True
    return False
