"""Files in a folder of this machine.

Below the folder no symbolic link is ever followed: each segment of a path is opened from the one before with
O_NOFOLLOW, so that a link put there meanwhile leads nowhere either. A file is written beside its place under
a name that begins with `.part-`, and renamed; a killed process can leave such a file behind, unread by anyone.
"""

from __future__ import annotations

import errno
import os
import posixpath
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from typing import ClassVar, Final

from controlplane.core.storage.base import (
    CHUNK_BYTES,
    DEFAULT_MEDIA_TYPE,
    Measure,
    Stat,
    Storage,
    Stored,
    checked_seconds,
    checked_start,
)
from controlplane.core.storage.errors import NoSuchFile, StorageError, StorageRefused, StorageUnavailable
from controlplane.core.storage.paths import checked_path, is_legal

PART: Final = ".part-"
FOLDER_MODE: Final = 0o750
FILE_MODE: Final = 0o640
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe must not wait for its other end.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_REFUSED: Final = {
    errno.EACCES: "may not be opened by this service",
    errno.EPERM: "may not be opened by this service",
    errno.EROFS: "lies on a disk that is read-only",
    errno.ELOOP: "passes through a symbolic link",
    errno.ENOTDIR: "passes through a file",
    errno.EISDIR: "is a folder",
    errno.ENAMETOOLONG: "is too long for this disk",
}


class HostStorage(Storage):
    """`folder` is an absolute path without symbolic links; it is never made, since it may be a disk to be mounted."""

    kind: ClassVar[str] = "host"

    def __init__(self, folder: str) -> None:
        self._root = folder

    def put(
        self,
        path: str,
        source: Iterable[bytes],
        *,
        media_type: str = DEFAULT_MEDIA_TYPE,
        max_bytes: int | None = None,
    ) -> Stored:
        folders, name = _split(checked_path(path))
        measure = Measure(max_bytes)
        chunks = measure.through(source)
        with self._folder(path, folders, make=True) as folder:
            half = f"{PART}{secrets.token_hex(8)}"
            with _plain_words(path):
                if _is_folder(name, folder):
                    raise IsADirectoryError(errno.EISDIR, "is a folder")
                file = os.open(half, _WRITE, FILE_MODE, dir_fd=folder)
            try:
                _fill(file, chunks, path)
                with _plain_words(path):
                    os.rename(half, name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(half, dir_fd=folder)
                raise
        return measure.stored()

    def get(self, path: str, start: int = 0) -> Iterator[bytes]:
        file = self._open(path)
        file.seek(checked_start(start))
        return _read(file, path)

    def stat(self, path: str) -> Stat:
        with self._open(path) as file:
            found = os.fstat(file.fileno())
        return Stat(size=found.st_size, media_type=None, modified=datetime.fromtimestamp(found.st_mtime, UTC))

    def walk(self, folder: str = "") -> Iterator[tuple[str, int]]:
        folders = checked_path(folder).split("/") if folder else []
        found: list[tuple[str, int]] = []
        try:
            with self._folder(folder, folders) as at, _plain_words(folder):
                for above, _, names, descriptor in os.fwalk(".", dir_fd=at):
                    place = posixpath.normpath(posixpath.join(folder, above))
                    for name in names:
                        path = posixpath.normpath(posixpath.join(place, name))
                        size = _size(name, descriptor)
                        if size is not None and is_legal(path) and not name.startswith(PART):
                            found.append((path, size))
        except NoSuchFile:
            return
        yield from sorted(found, key=lambda each: each[0].encode())

    def delete(self, path: str) -> None:
        folders, name = _split(checked_path(path))
        with suppress(NoSuchFile), self._folder(path, folders) as folder, _plain_words(path):
            if not _is_folder(name, folder):
                os.unlink(name, dir_fd=folder)

    def local_path(self, path: str) -> str:
        folders, name = _split(checked_path(path))
        with self._folder(path, folders) as folder, _plain_words(path):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise StorageRefused(f"{path} is a link, a device or a pipe, not a file.")
        return os.path.join(self._root, path)

    def url(self, path: str, seconds: int) -> None:
        checked_path(path)
        checked_seconds(seconds)

    def upload_url(self, path: str, seconds: int, *, media_type: str = DEFAULT_MEDIA_TYPE) -> None:
        self.url(path, seconds)

    @contextmanager
    def _folder(self, path: str, folders: list[str], *, make: bool = False) -> Iterator[int]:
        """The opened folder at `folders` below the root. Without `make`, NoSuchFile when it is not there."""
        at = self._open_root()
        try:
            for name in folders:
                with _plain_words(path):
                    below = _enter(at, name, make=make)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def _open_root(self) -> int:
        try:
            return os.open(self._root, _FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StorageUnavailable(f"There is no folder {self._root} on this machine; is it mounted?") from error
        except PermissionError as error:
            raise StorageRefused(f"The folder {self._root} may not be opened by this service.") from error
        except OSError as error:
            raise StorageUnavailable(f"The folder {self._root} cannot be opened: {error.strerror}.") from error

    def _open(self, path: str) -> FileIO:
        folders, name = _split(checked_path(path))
        with self._folder(path, folders) as folder, _plain_words(path):
            file = os.open(name, _READ, dir_fd=folder)
        mode = os.fstat(file).st_mode
        if stat.S_ISREG(mode):
            return FileIO(file)
        os.close(file)
        if stat.S_ISDIR(mode):
            raise NoSuchFile(f"There is no file {path}, but a folder.")
        raise StorageRefused(f"{path} is a device or a pipe, not a file.")


def _split(path: str) -> tuple[list[str], str]:
    *folders, name = path.split("/")
    return folders, name


def _enter(at: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=at)
    try:
        return os.open(name, _FOLDER, dir_fd=at)
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "symbolic link") from error
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, "no such file") from error  # below a file there is nothing


def _size(name: str, folder: int) -> int | None:
    """Of a plain file; None of anything else, and of what is gone meanwhile."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _fill(file: int, chunks: Iterator[bytes], path: str) -> None:
    """Write `chunks`, sync, close. An OSError of the source itself goes through as it is."""
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                with _plain_words(path):
                    rest = rest[os.write(file, rest) :]
        with _plain_words(path):
            os.fsync(file)
    finally:
        os.close(file)


def _read(file: FileIO, path: str) -> Iterator[bytes]:
    with file:
        while True:
            with _plain_words(path):
                chunk = file.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


@contextmanager
def _plain_words(path: str) -> Iterator[None]:
    """An OSError as one of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchFile(f"There is no file {path}.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise StorageUnavailable("The disk of the storage is full.") from error
        if error.errno in _REFUSED:
            raise StorageRefused(f"{path} {_REFUSED[error.errno]}.") from error
        raise StorageError(f"{path} cannot be reached on this machine's disk: {error.strerror}.") from error
