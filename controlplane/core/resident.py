"""What resident processes leave on their machine: signs of life for the supervisor, and who each of them is."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO, Final
from uuid import UUID, uuid4

from django.conf import settings

STOPPING: Final = "stopping"  # the supervisor's own, there while it shuts down


def touch(name: str) -> None:
    """Leave a sign of life for the supervisor of this machine."""
    path: Path = settings.RUN_DIR / name
    try:
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def is_stopping() -> bool:
    """Is the supervisor of this machine shutting down?"""
    path: Path = settings.RUN_DIR / STOPPING
    return path.exists()


def lock_alone(name: str) -> IO[str] | None:
    """A file that shows, while it is open, that this process of the machine does something, and no other.

    None while another has it open: one that is dead has not, one that stands still has.
    """
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    file: IO[str] = open(settings.RUN_DIR / f"{name}.lock", "a")  # noqa: SIM115 # as long as the process lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def token_of_this_machine(name: str) -> UUID:
    """The same for each process of this machine, one after the other: none waits for what a dead one held."""
    path: Path = settings.RUN_DIR / f"{name}.token"
    with contextlib.suppress(OSError, ValueError):
        return UUID(path.read_text())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = uuid4()
    path.write_text(str(token))
    return token
