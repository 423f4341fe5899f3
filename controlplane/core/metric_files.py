"""Where the processes of one machine leave what they count, so that its web server can tell it.

Each process writes files of its own (prometheus-client's multiprocess mode) into the folder that settings
name in PROMETHEUS_MULTIPROC_DIR. What dead ones counted is added to one file, for a counter must not fall
because a process ended. It is done by whichever process comes next: one takes the place of each that dies.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

KINDS: Final = ("counter", "histogram")
ENDED: Final = "ended"
FIRST_BYTES: Final = 2**16  # what prometheus-client begins a file with
_File: Final[Any] = MmapedDict  # its methods have no types


def folder() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


@contextmanager
def _locked(how: int) -> Iterator[None]:
    with open(folder() / "lock", "a") as lock:
        fcntl.flock(lock, how)
        yield


def prepare() -> None:
    """Make the folder and this process's files, and add up what dead processes left. Raises OSError.

    The files' bytes are taken from the disk at once: a mapped file that finds none left kills its process.
    """
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(fcntl.LOCK_EX):
        for kind in KINDS:
            _add_up(kind)
            with open(folder() / f"{kind}_{os.getpid()}.db", "ab") as file:
                if not file.tell():
                    os.posix_fallocate(file.fileno(), 0, FIRST_BYTES)


def collect() -> list[Metric]:
    """What all processes have counted, dead ones included."""
    if not folder().is_dir():
        return []
    with _locked(fcntl.LOCK_SH):
        return list(MultiProcessCollector(None, str(folder())).collect())  # type: ignore[no-untyped-call]


def _add_up(kind: str) -> None:
    dead = [path for path in folder().glob(f"{kind}_*.db") if not _is_anyones(path)]
    if not dead:
        return
    _add(folder() / f"{kind}_{ENDED}.db", dead)
    for path in dead:
        path.unlink()


def _is_anyones(path: Path) -> bool:
    """Does the process that the file is named for live? The file of those that ended is nobody's to add."""
    name = path.stem.rpartition("_")[2]
    if not name.isdigit():
        return True
    try:
        os.kill(int(name), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _add(target: Path, paths: Sequence[Path]) -> None:
    total = _File(str(target))
    try:
        for path in paths:
            try:
                found = list(_File.read_all_values_from_file(str(path)))
            except (RuntimeError, ValueError, struct.error):  # cut short by a crash of the machine
                continue
            for key, value, _, _ in found:
                total.write_value(key, total.read_value(key)[0] + value, 0.0)
    finally:
        total.close()
