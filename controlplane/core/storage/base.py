"""What every storage does with files. These docstrings are the specification.

`tests/controlplane/storage/test_storage.py` holds one test class that runs against every storage. Nothing
here knows Django or a database. A storage may be shared by threads. Paths are those of
`storage.paths`; every method raises InvalidRequest (field `path`) for another, and StorageUnavailable or
StorageRefused when the place cannot be reached or does not let us.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage.errors import StorageError, TooBig
from controlplane.core.storage.paths import checked_path

CHUNK_BYTES: Final = 1024**2  # the most that `get` hands over at once
PART_BYTES: Final = 8 * 1024**2  # what a cloud is sent at once; S3 wants 5 MiB or more
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"
LONGEST_URL_SECONDS: Final = 7 * 86400  # S3's limit
LARGEST_UPLOAD_BYTES: Final = 5000 * 1024**2  # Azure's limit for one request; S3's is 5 GiB


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written: bytes, and their SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stat:
    """What a storage knows of a file. A folder keeps no media type. `modified` is in UTC."""

    size: int
    media_type: str | None
    modified: datetime


@dataclass(frozen=True, slots=True)
class UploadAddress:
    """Where a file is written with one PUT that has these headers, and no others of the storage's own."""

    url: str = field(repr=False)  # a secret
    headers: Mapping[str, str]


class Storage(ABC):
    kind: ClassVar[str]  # "host", "s3", "azure"

    @abstractmethod
    def put(
        self,
        path: str,
        source: Iterable[bytes],
        *,
        media_type: str = DEFAULT_MEDIA_TYPE,
        max_bytes: int | None = None,
    ) -> Stored:
        """Write a file, or write over it, in bounded memory.

        The file is there complete or not at all: who reads meanwhile sees the old one or the new one. When
        `source` raises, its error goes through and the old file, or none, stays. TooBig when more than
        `max_bytes` come, or more than the storage can keep.
        """

    @abstractmethod
    def get(self, path: str, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks of at most 1 MiB; none when `start` is at the end or behind it.

        NoSuchFile is raised by the call itself, not by the first chunk. Should the file be written over
        meanwhile, the old one is read to its end, or StorageUnavailable is raised: never a mixture.
        """

    @abstractmethod
    def stat(self, path: str) -> Stat:
        """Size, media type and time. NoSuchFile."""

    @abstractmethod
    def walk(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Every file below `folder` ("": everything), as path and bytes, ordered by the bytes of the path.

        None when there is no such folder. What is no plain file, and what has a path that is not legal, is left out.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file. That there is none is no error."""

    @abstractmethod
    def url(self, path: str, seconds: int) -> str | None:
        """An address that anyone may GET the file from for `seconds` (at most 7 days); None where there is none.

        It is made without asking the storage, so the file need not be there. The address is a secret.
        """

    @abstractmethod
    def upload_url(self, path: str, seconds: int, *, media_type: str = DEFAULT_MEDIA_TYPE) -> UploadAddress | None:
        """An address that anyone may PUT the file to for `seconds` (at most 7 days); None where there is none.

        The file is there whole or not at all, and has LARGEST_UPLOAD_BYTES at most. It is made without asking the
        storage. The address is a secret.
        """

    def local_path(self, path: str) -> str | None:
        """Where the file (or folder) lies on this machine, to be mounted without a copy; None in a cloud.

        NoSuchFile. Whoever may write to the storage may put a link in its place afterwards.
        """
        checked_path(path)
        return None

    def fetch(self, path: str, target: str) -> Stored:
        """Copy a file to `target`, a new file of this machine: there complete or not at all. NoSuchFile.

        FileExistsError when `target` is there already, and other OSErrors as the local disk has them.
        """
        chunks = self.get(path)
        half = os.path.join(os.path.dirname(target), f".part-{secrets.token_hex(8)}")
        measure = Measure()
        try:
            with open(half, "xb") as file:
                for chunk in measure.through(chunks):
                    file.write(chunk)
            os.link(half, target)  # unlike a rename, never over a file
        finally:
            if os.path.lexists(half):
                os.unlink(half)
        return measure.stored()

    def check(self) -> None:
        """Write, read and delete a small file. StorageError says in plain words what does not work."""
        path, content = f".check-{secrets.token_hex(8)}", secrets.token_bytes(16)
        self.put(path, [content])
        try:
            read = b"".join(self.get(path))
        finally:
            self.delete(path)
        if read != content:
            raise StorageError("The storage does not give back what was written to it.")


class Measure:
    """Counts and hashes bytes on their way."""

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._hash = hashlib.sha256()

    def through(self, source: Iterable[bytes]) -> Iterator[bytes]:
        """`source` itself. TooBig as soon as it has more than `max_bytes`."""
        for chunk in source:
            self._size += len(chunk)
            if self._max_bytes is not None and self._size > self._max_bytes:
                raise TooBig(self._max_bytes)
            self._hash.update(chunk)
            yield chunk

    def stored(self) -> Stored:
        return Stored(size=self._size, sha256=self._hash.hexdigest())


def in_parts(source: Iterable[bytes], size: int) -> Iterator[bytes]:
    """`source` cut anew: every part has `size` bytes but the last, and there is always one, if empty."""
    part = bytearray()
    for chunk in source:
        rest = memoryview(chunk)
        while len(part) + len(rest) > size:
            taken = size - len(part)
            part += rest[:taken]
            rest = rest[taken:]
            yield bytes(part)
            part.clear()
        part += rest
    yield bytes(part)


def in_chunks(source: Iterable[bytes]) -> Iterator[bytes]:
    """`source` cut to what `Storage.get` hands over."""
    for piece in source:
        for begin in range(0, len(piece), CHUNK_BYTES):
            yield piece[begin : begin + CHUNK_BYTES]


def checked_start(start: int) -> int:
    if start < 0:
        raise InvalidRequest("A file is read from byte 0 on.", field="start")
    return start


def checked_seconds(seconds: int) -> int:
    if not 0 < seconds <= LONGEST_URL_SECONDS:
        raise InvalidRequest(f"An address holds from 1 to {LONGEST_URL_SECONDS} seconds.", field="seconds")
    return seconds
