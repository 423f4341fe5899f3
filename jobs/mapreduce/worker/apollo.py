"""The apollo protocol: a process per line and per key, which answers with JSON through a socket of a fixed name.

    mapper   <program> <line number> <line>     answers on map.sock: {"pairs":[{"key":K,"value":V},…]}
    reducer  <program> <order>                  listens on reduce-input-<order>.sock, is given
             {"key":{"key":K,"value":order},"value":[V,…]}, answers the same with its result on reduce.sock

Keys are ordered by hash, keys of one hash by first appearance, values as mappers gave them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace

from .calls import Call, Calls
from .errors import BAD_LINE, BAD_OUTPUT, LINE_TOO_LONG, TaskFailed
from .lines import BLOCK_BYTES, each_line, whole_lines
from .objects import input_lines
from .partition import apollo_hash, canonical_key
from .programs import Programs, write_all
from .shuffle import NO_LIMIT, Sort
from .task import Task

TYPE_CHECKING = False  # typing would take a fifth of the start
if TYPE_CHECKING:
    from typing import Any

ARGUMENT_BYTES = 128 << 10  # of one argument, its final NUL included: execve(2)


@contextmanager
def _calls(task: Task, programs: Programs, who: str, name: str) -> Iterator[Calls]:
    """Alone in the folder of sockets: their names are fixed, so another task there has to wait."""
    path = f"{task.sockets}/{name}"
    lock = os.open(task.sockets, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        calls = Calls(programs, who, path, task.limits.answer_bytes, task.limits.processes)
        try:
            yield calls
        finally:
            calls.close()
    finally:
        os.close(lock)


# Of one line, without TABs: ASCII only.
_json = json.JSONEncoder(separators=(",", ":")).encode


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _answer(who: str, call: Call) -> Any:
    try:
        return json.loads(call.answer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _bad_answer(who, call, f"is not JSON ({error})") from error


def _bad_answer(who: str, call: Call, what: str) -> TaskFailed:
    shown = call.answer[:200].decode(errors="replace")
    return TaskFailed(BAD_OUTPUT, f"An answer of the {who} {what}: {shown}", number=call.number, program=who)


# --- Map -----------------------------------------------------------------------------------------


class Mapped:
    """What a map task has read and written so far."""

    lines = pairs = 0


def map_lines(task: Task, programs: Programs, sort: Sort, count: Callable[[bytes], None]) -> Mapped:
    """Run the mapper for every line of the splits, and give its pairs to `sort`."""
    mapped = Mapped()
    width = len(str(task.partitions - 1))
    with _calls(task, programs, "mapper", "map.sock") as calls:
        for call in calls.run(_map_calls(task, mapped, count)):
            sequence = f"{task.number:010d}:{call.number:015d}"
            records = []
            for key, value in _pairs(call):
                try:
                    name, hashed = _named(key)
                except (TypeError, ValueError, OverflowError) as error:
                    raise _bad_answer("mapper", call, f"has a key that is none ({error})") from error
                records.append(
                    f"1\t{hashed % task.partitions:0{width}d}\t{hashed:010d}\t{name}\t{sequence}\t{_json(value)}\n"
                )
            mapped.pairs += len(records)
            sort.write("".join(records).encode())
    return mapped


@lru_cache(10_000, typed=True)  # true is not 1
def _named(key: Hashable) -> tuple[str, int]:
    name = canonical_key(key)
    return name, apollo_hash(json.loads(name))


def _map_calls(task: Task, mapped: Mapped, count: Callable[[bytes], None]) -> Iterator[Call]:
    """A call for each line; its number counts the lines of the task, its argument those of the split."""
    for split in task.splits:
        blocks = _counted(input_lines(split), count)
        whose = str(split.place)
        for number, line in enumerate(each_line(blocks, ARGUMENT_BYTES, whose)):
            if len(line) >= ARGUMENT_BYTES:
                message = f"Line {number} (from 0) of {whose} has {len(line)} bytes, too long for an argument."
                raise TaskFailed(LINE_TOO_LONG, message, line=number)
            if b"\0" in line:
                message = f"Line {number} (from 0) of {whose} has a NUL byte, which no argument can have."
                raise TaskFailed(BAD_LINE, message, line=number)
            yield Call(mapped.lines, (*task.program, str(number), line))
            mapped.lines += 1


def _counted(blocks: Iterable[bytes], count: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        count(block)
        yield block


def _pairs(call: Call) -> Iterator[tuple[Any, object]]:
    """Go writes no pairs as null."""
    answer = _answer("mapper", call)
    pairs = answer.get("pairs", ()) if isinstance(answer, dict) else None
    if isinstance(answer, dict) and "pairs" in answer and pairs is None:
        return
    if not isinstance(pairs, list):
        raise _bad_answer("mapper", call, 'is not {"pairs": [...]}')
    for pair in pairs:
        if not isinstance(pair, dict) or "key" not in pair:
            raise _bad_answer("mapper", call, "has a pair that is not an object with a key")
        yield pair["key"], pair.get("value")


# --- Reduce --------------------------------------------------------------------------------------


class Group(SimpleNamespace):
    """A key and where its records lie in the file of merged ones."""

    key: str  # JSON
    start: int
    end: int
    appeared: bytes  # when its first value was written


class Groups:
    """The groups of a partition, in the order of the contract; the merged records are kept in `path` meanwhile."""

    def __init__(self, records: Iterable[bytes], path: str) -> None:
        self._records = records
        self.path = path
        self.values = 0

    def __iter__(self) -> Iterator[Group]:
        waiting: list[Group] = []  # of one hash, the last one growing
        hashed = b""
        position = 0
        with open(self.path, "wb", buffering=0) as file:
            for block in whole_lines(self._records, NO_LIMIT, "a spill"):
                write_all(file.fileno(), block)
                for record in block.split(b"\n")[:-1]:
                    _, _, of, name, appeared, _ = record.split(b"\t", 5)
                    key, end = name.decode(), position + len(record) + 1
                    if of != hashed:
                        yield from sorted(waiting, key=lambda group: group.appeared)
                        waiting, hashed = [], of
                    if waiting and waiting[-1].key == key:
                        waiting[-1].end = end
                    else:
                        waiting.append(Group(key=key, start=position, end=end, appeared=appeared))
                    self.values += 1
                    position = end
        yield from sorted(waiting, key=lambda group: group.appeared)


def _request(path: str, order: int, group: Group) -> Iterator[bytes]:
    yield f'{{"key":{{"key":{group.key},"value":{order}}},"value":['.encode()
    first = True
    for block in whole_lines(_part(path, group.start, group.end), NO_LIMIT, "a spill"):
        values = b",".join(record.rsplit(b"\t", 1)[1] for record in block.split(b"\n")[:-1])
        yield values if first else b"," + values
        first = False
    yield b"]}"


def _part(path: str, start: int, end: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


class Reduced:
    """What a reduce task has written."""

    pairs = 0


def reduce_groups(task: Task, programs: Programs, groups: Groups, sort: Sort, target: str) -> Reduced:
    """Run the reducer for every group, and write the results in the groups' order to the file `target`.

    `sort` puts the results into that order.
    """
    keys: dict[int, str] = {}  # of the calls that run

    def calls_of() -> Iterator[Call]:
        for order, group in enumerate(groups):
            keys[order] = group.key
            listens_at = f"{task.sockets}/reduce-input-{order}.sock"
            yield Call(order, (*task.program, str(order)), _request(groups.path, order, group), listens_at)

    with _calls(task, programs, "reducer", "reduce.sock") as calls:
        for call in calls.run(calls_of()):
            answer = _answer("reducer", call)
            if not isinstance(answer, dict) or "value" not in answer:
                raise _bad_answer("reducer", call, "has no value")
            echoed = answer.get("key")
            order = echoed.get("value") if isinstance(echoed, dict) else None
            if not isinstance(order, int | float) or isinstance(order, bool) or order not in keys:
                raise _bad_answer("reducer", call, 'does not name its order in "key"')
            key = keys.pop(int(order))
            sort.write(f"1\t{int(order):015d}\t{key}\t{_json(answer['value'])}\n".encode())
    return _write_pairs(sort.blocks(), target)


def _write_pairs(records: Iterable[bytes], target: str) -> Reduced:
    reduced = Reduced()
    with open(target, "wb", buffering=0) as file:
        write_all(file.fileno(), b'{"pairs":[')
        for block in whole_lines(records, NO_LIMIT, "the results"):
            pairs = []
            for record in block.split(b"\n")[:-1]:
                _, _, key, value = record.split(b"\t", 3)
                pairs.append(b'{"key":%b,"value":%b}' % (key, value))
            write_all(file.fileno(), (b"," if reduced.pairs else b"") + b",".join(pairs))
            reduced.pairs += len(pairs)
        write_all(file.fileno(), b"]}")
    return reduced
