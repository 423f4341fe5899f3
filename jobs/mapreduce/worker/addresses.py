"""Objects behind http(s) addresses: read by GET, written by PUT, and tried again when their server fails.

An address may be signed, and is a secret then: no error raised here has it in its text.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress

TYPE_CHECKING = False  # typing would take a fifth of the start
if TYPE_CHECKING:
    from typing import Any

READ_SECONDS = 60
TRIES = 5
PAUSE_SECONDS = 0.5  # before the second try; it doubles
LARGEST_BYTES = 5000 << 20  # of one PUT: Azure's limit
_LATER = (408, 429)
_NOT_DUMPABLE = 4  # PR_SET_DUMPABLE of prctl(2)


def is_address(text: str) -> bool:
    """Whether a request can be sent there: printable ASCII, without a space."""
    return text.startswith(("http://", "https://")) and text.isascii() and text.isprintable() and " " not in text


def taken_from_environment(name: str) -> str | None:
    """The variable's value, which from here on stands in no environment, nor in /proc; None without it.

    Programs run as the same user as we do, and could look there.
    """
    value = os.environ.get(name)
    if value is None:
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(os.fsencode(name))
    if place:
        ctypes.memset(place, ord("-"), len(os.fsencode(value)))
    del os.environ[name]
    with suppress(AttributeError):
        libc.prctl(_NOT_DUMPABLE, 0, 0, 0, 0)  # our memory is not theirs to read
    return value


class Reader:
    """Reads an answer. EOFError where it breaks off, which http.client takes for its end."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._whole_bytes = int(answer.headers["Content-Length"] or 0)
        self._read_bytes = 0

    def read(self, size: int) -> bytes:
        block: bytes = self._answer.read(size)
        self._read_bytes += len(block)
        if not block and size and self._read_bytes < self._whole_bytes:
            raise EOFError(f"it ends after {self._read_bytes} bytes")
        return block

    def close(self) -> None:
        self._answer.close()


def open_address(url: str, start: int = 0, length: int | None = None) -> tuple[Reader, int]:
    """What reads from `start`, `length` bytes or all; and the size of the whole (-1: not told).

    Raises OSError, ValueError, http.client.HTTPException; the reader EOFError, too.
    """
    ranged = bool(start or length)
    last = "" if length is None else start + length - 1
    answer = _ask("GET", url, {"Range": f"bytes={start}-{last}"} if ranged else {})
    if ranged and answer.status != 206:
        answer.close()
        raise ValueError("the server does not answer with a part of it")
    total = answer.headers["Content-Range"].rpartition("/")[2] if ranged else answer.headers["Content-Length"]
    return Reader(answer), int(total or -1)


def put_file(path: str, url: str, headers: Mapping[str, str]) -> None:
    """Make the file at `path` the object: whole, or not at all. Raises as `open_address`."""
    size = os.stat(path).st_size
    if size > LARGEST_BYTES:
        raise ValueError(f"it has {size} bytes, and {LARGEST_BYTES} can be written there at once")
    sent = {"Content-Type": "application/octet-stream", **headers, "Content-Length": str(size)}
    _ask("PUT", url, sent, path).close()


def is_refusal(error: BaseException) -> bool:
    """Whether it is no use to try again: it is not there, or we may not."""
    return isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in _LATER


def _ask(method: str, url: str, headers: Mapping[str, str], path: str | None = None) -> Any:
    """`path`: the file that is the request's body."""
    failure: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            return _ask_once(method, url, headers, path)
        except (OSError, http.client.HTTPException) as error:
            if is_refusal(error):
                raise
            failure = error
    assert failure is not None
    raise failure


def _ask_once(method: str, url: str, headers: Mapping[str, str], path: str | None) -> Any:
    if path is None:
        request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - is_address
        return urllib.request.urlopen(request, timeout=READ_SECONDS)  # noqa: S310 - the same
    with open(path, "rb") as body:
        request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - the same
        return urllib.request.urlopen(request, timeout=READ_SECONDS)  # noqa: S310 - the same
