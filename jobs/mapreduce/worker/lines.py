"""Which lines of an object belong to a split, read in blocks: no line need fit into memory.

A line belongs to the split that holds its first byte; whoever owns it reads on past the split's end. The CR of a
CRLF is dropped, as is a lone CR at the end of the object; empty lines count; the last line may lack its newline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .errors import LINE_TOO_LONG, TaskFailed

BLOCK_BYTES = 1 << 20


def first_byte_read(start: int) -> int:
    """Where reading a split begins: at the byte before it, which tells whether a line begins at `start`."""
    return max(start - 1, 0)


def split_blocks(read: Callable[[int], bytes], start: int, end: int) -> Iterator[bytes]:
    """The lines whose first byte lies in [start, end), as the object has them.

    `read(n)` gives at most n of the bytes that follow `first_byte_read(start)`, and none at the object's end.
    Raises EOFError when the object ends before `end`.
    """
    if start == end:
        return
    position = first_byte_read(start)
    inside = start == 0
    while position < end or inside:
        block = read(BLOCK_BYTES)
        if not block:
            if position < end:
                raise EOFError(f"it ends after {position} bytes")
            return
        begin = 0
        if not inside:
            begin = block.find(b"\n") + 1
            inside = begin > 0 and position + begin < end
            if not inside and (begin or position + len(block) >= end):
                return
        if inside:
            stop = block.find(b"\n", max(end - 1 - position, 0)) + 1
            yield block[begin : stop or len(block)]
            if stop:
                return
        position += len(block)


def unix_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same lines, each ended by a newline alone."""
    held, ended = b"", True
    for block in blocks:
        if held:
            block = held + block
            held = b""
        if block.endswith(b"\r"):
            held, block = b"\r", block[:-1]
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if block:
            ended = block.endswith(b"\n")
            yield block
    if held or not ended:
        yield b"\n"


def whole_lines(blocks: Iterable[bytes], limit_bytes: int, whose: str) -> Iterator[bytes]:
    """Blocks that end where a line ends; a newline is added where the last one lacks it.

    Raises TaskFailed when a line of `whose` is longer than `limit_bytes`.
    """
    begun: list[bytes] = []
    begun_bytes = number = 0
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if cut:
            begun.append(block[:cut])
            whole = b"".join(begun)
            yield whole
            number += whole.count(b"\n")
            begun, begun_bytes = [], 0
        if cut < len(block):
            begun.append(block[cut:])
            begun_bytes += len(block) - cut
            if begun_bytes > limit_bytes:
                raise TaskFailed(
                    LINE_TOO_LONG, f"Line {number} (from 0) of {whose} is longer than {limit_bytes} bytes.", line=number
                )
    if begun:
        yield b"".join(begun) + b"\n"


def each_line(blocks: Iterable[bytes], limit_bytes: int, whose: str) -> Iterator[bytes]:
    """Line by line, without the newlines."""
    for block in whole_lines(blocks, limit_bytes, whose):
        lines = block.split(b"\n")
        lines.pop()
        yield from lines
