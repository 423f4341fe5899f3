"""A folder that a stranger wrote: found and read without following a symbolic link, inside it or out of it.

Every step opens one name in a directory that is held open, so nobody can swap a part of the path meanwhile.
What is no regular file is passed over, and opening never waits for a FIFO's other end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate
from typing import Final

from controlplane.core.unstorable import UNSTORABLE

MAX_STEPS: Final = 32  # directories in a path or pattern
MAX_ENTRIES: Final = 200_000  # names looked at for one folder

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GLOB = re.compile(r"[*?\[]")
# What a stranger can bring about in his own folder. All else, as a failing disk, is not his fault, and is raised.
_HIS_DOING: Final = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV,
        errno.ENAMETOOLONG, errno.EISDIR, errno.EINVAL,
    }
)  # fmt: skip


class NotReadable(Exception):
    """There is no such regular file inside the folder that we may read."""


class Missing(NotReadable):
    """There is nothing of this name."""


class TooMany(Exception):
    """The folder holds more names than anyone should look at."""


class Folder:
    """A stranger's folder, held open between `with`. OSError if the folder itself cannot be opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._entries = 0

    def __enter__(self) -> Folder:
        self._root = os.open(self._path, _DIRECTORY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def matching(self, pattern: str) -> Iterator[str]:
        """Paths below the folder, in order, of the regular files that the glob matches.

        `*`, `?` and `[…]` stand for parts of one name, not for a leading dot; `**` is no more than `*`. A pattern
        that is absolute, climbs, or is deeper than MAX_STEPS matches nothing. Names that are no UTF-8 are passed
        over. TooMany after MAX_ENTRIES names.
        """
        steps = _steps(pattern)
        if steps is not None:
            yield from self._below(self._root, (), steps)

    def open(self, path: str) -> int:
        """A descriptor of the regular file at `path` below the folder, which the caller closes; or NotReadable."""
        steps = _steps(path)
        if steps is None:
            raise NotReadable
        try:
            return self._open(steps)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise Missing from None
            if error.errno in _HIS_DOING:
                raise NotReadable from error
            raise

    def read(self, path: str, max_bytes: int) -> bytes:
        """What the file holds; NotReadable also when that is more than `max_bytes`."""
        with os.fdopen(self.open(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > max_bytes:
                raise NotReadable
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise NotReadable
        return content

    def _open(self, steps: list[str]) -> int:
        with contextlib.ExitStack() as opened:
            directory = self._root
            for step in steps[:-1]:
                directory = os.open(step, _DIRECTORY, dir_fd=directory)
                opened.callback(os.close, directory)
            descriptor = os.open(steps[-1], _FILE, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotReadable
        return descriptor

    def _below(self, directory: int, above: tuple[str, ...], steps: list[str]) -> Iterator[str]:
        first, *others = steps
        for name in self._names(directory, first):
            mode = _mode(directory, name)
            if mode is None:
                continue
            if not others:
                if stat.S_ISREG(mode):
                    yield "/".join((*above, name))
            elif stat.S_ISDIR(mode) and (child := _opened(name, directory)) is not None:
                try:
                    yield from self._below(child, (*above, name), others)
                finally:
                    os.close(child)

    def _names(self, directory: int, step: str) -> list[str]:
        if not _GLOB.search(step):
            return [step]
        matches = re.compile(translate(step)).match
        names = []
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise TooMany
                if matches(entry.name) and _is_plain(entry.name, step):
                    names.append(entry.name)
        return sorted(names)


def _steps(path: str) -> list[str] | None:
    """The names that a relative path is made of, or None if it leads nowhere inside."""
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if path.startswith("/") or ".." in steps or not 0 < len(steps) <= MAX_STEPS:
        return None
    return None if UNSTORABLE.search(path) else steps


def _is_plain(name: str, step: str) -> bool:
    return (step.startswith(".") or not name.startswith(".")) and _is_utf8(name)


def _is_utf8(name: str) -> bool:
    """Python reads bytes that are no UTF-8 as halves of surrogate pairs."""
    return UNSTORABLE.search(name) is None


def _mode(directory: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError as error:
        if error.errno in _HIS_DOING:
            return None
        raise


def _opened(name: str, directory: int) -> int | None:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in _HIS_DOING:
            return None
        raise
