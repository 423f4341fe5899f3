"""The streaming protocol: a process per split and per partition, lines in, lines `key TAB value` out.

The conventions are Hadoop Streaming's: a line without TAB is a key with an empty value; a reducer sees the lines
of its partition sorted by key, bytewise. Ours besides: values of a key are sorted, too, so that the same input
always gives the same output.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import SimpleNamespace

from .objects import input_lines
from .programs import Filter, Programs
from .shuffle import Expansion, Items, Levels, Sort, Table, write_items
from .task import Task


class Mapped(SimpleNamespace):
    """What a map task has written: lines of the mapper, and what it left unread."""

    lines: int
    unread: bool


def map_splits(
    task: Task, programs: Programs, new_sort: Callable[[int], Sort], count: Callable[[bytes], None]
) -> tuple[Mapped, Sort]:
    """Run the mapper over the splits, and the combiner over what it writes; the sort holds the records."""
    sort = new_sort(1)
    sort.open()
    to_sort = partial(write_items, sort, task.partitions)
    levels = Levels(new_sort, to_sort) if task.combiner else None
    mapper = Filter(programs, "mapper", task.program, _input(task, count))
    lines = _counted(task, mapper, levels.write if levels else to_sort)
    if levels:
        assert task.combiner
        for source, sink in levels.rounds():
            _counted(task, Filter(programs, "combiner", task.combiner, iter(source)), sink)
    return Mapped(lines=lines, unread=mapper.unread), sort


def _input(task: Task, count: Callable[[bytes], None]) -> Iterator[bytes]:
    for split in task.splits:
        for block in input_lines(split):
            count(block)
            yield block


def _counted(task: Task, program: Filter, sink: Callable[[Items], None]) -> int:
    """Give `sink` what the program writes; how many lines it was."""
    table = Table(sink)
    table.add(program.blocks, task.limits.line_bytes, program.who)
    program.finish()
    table.flush()
    return table.lines


class Reduced(SimpleNamespace):
    groups: int
    lines: int
    unread: bool


def reduce_records(task: Task, programs: Programs, records: Iterable[bytes], target: str) -> Reduced:
    """Run the reducer over a partition's records; it writes to the file `target` itself."""
    lines = Expansion(records)
    stdout = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        reducer = Filter(programs, "reducer", task.program, iter(lines), stdout)
        reducer.finish()
    finally:
        os.close(stdout)
    return Reduced(groups=lines.groups, lines=lines.lines, unread=reducer.unread)
