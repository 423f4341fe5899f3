"""Where the local provider keeps what it knows of an execution: one folder each, read by everybody.

    ROOT/runner.lock  runner.sock  runner.log  journal
    ROOT/executions/<last two hex digits of the id>/<id>/
        started   the right to run: whoever creates it with O_EXCL may start, or refuse, the execution
        stdout    stderr    what the command wrote; `stdout.cut` says which part of it was left out
        work/     where the command runs
        exit      how it ended; it appears whole, by rename

The last digits, because the first ones of a version 7 UUID are a clock. Written for the runner, which
imports nothing heavy: standard library only, and little of it.
"""

from __future__ import annotations

import json
import os
import re
from typing import Final, TypedDict, cast

STARTED: Final = "started"
EXIT: Final = "exit"
WORK: Final = "work"
EXECUTIONS: Final = "executions"
SOCKET: Final = "runner.sock"
LOCK: Final = "runner.lock"
LOG: Final = "runner.log"
JOURNAL: Final = "journal"
TRASH: Final = "trash"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Started(TypedDict, total=False):
    """Content of `started`; empty for the moment in which the process is made, and where none ever was.

    `boot_seconds` is the time since boot (CLOCK_BOOTTIME) when the process had just been made, which
    is what /proc calls its start time; with `boot` it tells our process from a later one of that number.
    """

    pid: int
    boot_seconds: float
    boot: str
    started: float
    node: str


class Ended(TypedDict):
    """Content of `exit`. Times are seconds since the epoch; `end` is a value of `base.End`."""

    started: float | None
    ended: float
    code: int | None
    end: str
    detail: str
    node: str


def is_execution_id(text: str) -> bool:
    """Whether `text` is a UUID in its usual form: nothing else may become part of a path."""
    return _ID.fullmatch(text) is not None


def folder_of(root: str, execution_id: str) -> str:
    """The folder of a valid execution id."""
    return f"{root}/{EXECUTIONS}/{execution_id[-2:]}/{execution_id}"


def make_root(root: str) -> None:
    """Make ROOT, for our user only."""
    os.makedirs(root, 0o700, exist_ok=True)
    os.makedirs(f"{root}/{EXECUTIONS}", 0o700, exist_ok=True)


def make_folder(folder: str) -> None:
    """Make an execution's folder; one that is there is kept."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(folder, 0o700, exist_ok=True)


def take(path: str) -> int:
    """Create a `started` and return it open for writing. FileExistsError: somebody else has the right to run."""
    return os.open(path, _NEW, 0o600)


def write_exit(folder: str, record: Ended) -> None:
    """Write `exit` so that a reader finds all of it or none. No fsync: it guards against kills, not power cuts."""
    write_whole(f"{folder}/{EXIT}", json.dumps(record))


def write_whole(path: str, text: str, *, synced: bool = False) -> None:
    """Put `text` at `path` in one step; with `synced` it is on the disk before that, and so survives a power cut."""
    new = path + ".new"
    try:
        fd = os.open(new, _NEW, 0o600)
    except FileExistsError:  # left by a runner that was killed here
        os.unlink(new)
        fd = os.open(new, _NEW, 0o600)
    try:
        left = memoryview(text.encode())
        while left:  # a disk that is nearly full takes a part, and says so the next time
            left = left[os.write(fd, left) :]
        if synced:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(new, path)


def read_exit(folder: str) -> Ended | None:
    """How the execution ended; None when it has not, or is unknown."""
    return cast("Ended | None", read_record(f"{folder}/{EXIT}"))


def read_started(folder: str) -> Started | None:
    """Who runs the execution; None when nobody took it, empty when the process is not known (yet)."""
    return cast("Started | None", read_record(f"{folder}/{STARTED}"))


def has_ended(folder: str) -> bool:
    """Whether there is an `exit`. An empty one does not count: a power cut can leave that."""
    try:
        return os.stat(f"{folder}/{EXIT}").st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_record(path: str) -> dict[str, object] | None:
    """The JSON object of a small file; None when there is no such file, empty when nothing can be read in it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        text = os.read(fd, 1 << 20)
    finally:
        os.close(fd)
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
