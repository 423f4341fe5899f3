"""The files of what an execution wrote: copied from the engine, of each stream the head and the tail kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final

from clusters.providers.base import STREAMS
from clusters.providers.local import logcap

_SLACK_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 18
_APPEND: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Files:
    """`stdout` and `stderr` in an execution's folder. A context manager."""

    def __init__(self, folder: str, cap_bytes: int) -> None:
        self._folder = folder
        self._cap_bytes = cap_bytes // len(STREAMS)
        self._slack_bytes = min(_SLACK_BYTES, self._cap_bytes // 2)
        self._cuts = {stream: logcap.read_cut(folder, stream) for stream in STREAMS}
        self._fds = {stream: os.open(f"{folder}/{stream}", _APPEND, 0o600) for stream in STREAMS}
        self._unchecked_bytes = 0

    def __enter__(self) -> Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for fd in self._fds.values():
            os.close(fd)
        for stream in STREAMS:
            self._trim(stream, 0)

    def copy(self, output: Iterable[tuple[str, bytes]]) -> None:
        """Add what is new in `output`, which begins with all that has been copied before."""
        known = {stream: self._written(stream) for stream in STREAMS}
        for stream, text in output:
            if known[stream] >= len(text):
                known[stream] -= len(text)
                continue
            self._write(stream, text[known[stream] :])
            known[stream] = 0

    def settle(self, output: Iterable[tuple[str, bytes]]) -> None:
        """Make the files what `output` says, which is all there is and will be.

        What was copied meanwhile may lack something, or have a line torn: engines are careless with followers,
        and with who reads while a line is being written.
        """
        total = dict.fromkeys(STREAMS, 0)
        for stream, text in _gathered(output):
            self._settle(stream, total[stream], text)
            total[stream] += len(text)
        for stream, length in total.items():
            _, end, shift = self._cuts[stream] or (0, 0, 0)
            if self._written(stream) > length >= end:
                os.ftruncate(self._fds[stream], length - shift)

    def _settle(self, stream: str, at: int, text: bytes) -> None:
        """Make byte `at` and on be `text`, where it was not cut out; what is right already is not touched."""
        fd = self._fds[stream]
        start, end, shift = self._cuts[stream] or (0, 0, 0)
        head = text[: max(0, start - at)]
        if os.pread(fd, len(head), at) != head:
            os.ftruncate(fd, at)
            os.unlink(f"{self._folder}/{stream}.cut")
            self._cuts[stream] = None
            self._write(stream, text)
            return
        left_out = max(0, end - at)
        tail, offset = text[left_out:], at + left_out - shift
        held = os.pread(fd, len(tail), offset)
        if not tail.startswith(held):
            os.ftruncate(fd, offset)
            held = b""
        self._write(stream, tail[len(held) :])

    def _written(self, stream: str) -> int:
        """How many bytes of `stream` have been copied, with those that were cut."""
        _, _, shift = self._cuts[stream] or (0, 0, 0)
        return os.fstat(self._fds[stream]).st_size + shift

    def _write(self, stream: str, text: bytes) -> None:
        self._unchecked_bytes += len(text)
        while text:
            text = text[os.write(self._fds[stream], text) :]
        if self._unchecked_bytes >= self._slack_bytes:
            self._unchecked_bytes = 0
            for each in STREAMS:
                self._trim(each, self._slack_bytes)

    def _trim(self, stream: str, slack_bytes: int) -> None:
        self._cuts[stream] = logcap.trim(self._folder, stream, self._cap_bytes, slack_bytes, self._cuts[stream])


def _gathered(output: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """The same in larger pieces."""
    pieces = {stream: bytearray() for stream in STREAMS}
    for stream, text in output:
        pieces[stream] += text
        if len(pieces[stream]) >= _CHUNK_BYTES:
            yield stream, bytes(pieces[stream])
            pieces[stream].clear()
    for stream, piece in pieces.items():
        yield stream, bytes(piece)
