"""Between mappers and reducers: records are sorted by coreutils' sort, cut into partitions, and merged again.

A record is a line of fields, parted by TABs:

    count   partition (decimal, of one width in a task)   key   [value]                             streaming
    1       partition                                     hash  key (JSON)  sequence  value (JSON)  apollo

`count` says how many lines `key TAB value` of a mapper the record stands for. What is sorted by stands together, as
sort finds the first of its keys once and any further one at each comparison.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import compress, groupby, islice
from operator import not_
from types import SimpleNamespace

from .errors import SORT_FAILED, TaskFailed
from .lines import BLOCK_BYTES, whole_lines
from .partition import streaming_partitions
from .programs import Programs, pipe, read_blocks, write_all

TABLE_LINES = 200_000
TABLE_BYTES = 16 << 20
_ROUND = 20_000  # records put together at a time
MERGED_AT_ONCE = 64
NO_LIMIT = 1 << 62  # of records that we have written ourselves

STREAMING_KEYS = ("-k2,3", "-k3")  # by key, then by value: the order of values depends on nothing else
APOLLO_KEYS = ("-k2,5",)  # all of one width, or JSON, which has nothing that comes before TAB
RESULT_KEYS = ("-k2,2",)


class Spill(SimpleNamespace):
    """The records of one partition, sorted, in a file."""

    partition: int
    path: str
    size: int


class Sort:
    """A `sort` that takes records on `fd` or from files, and gives them in order."""

    def __init__(self, programs: Programs, folder: str, memory_bytes: int, keys: Sequence[str]) -> None:
        self._programs = programs
        self._options = ["-s", "-t", "\t", "-S", f"{memory_bytes}b", "-T", folder]
        self._folder = folder
        self._keys = keys
        self.fd = -1
        self._pid = -1
        self._sorted: Iterator[bytes] = iter(())

    def open(self) -> None:
        """Take records on `fd`."""
        stdin, self.fd = pipe()
        try:
            self._start(["--parallel=1", *self._keys], stdin)
        finally:
            os.close(stdin)

    def merge(self, paths: Sequence[str]) -> None:
        """Take sorted files; of equal records those of an earlier file come first."""
        listed = f"{self._folder}/merged"
        with open(listed, "wb") as file:
            file.write(b"\0".join(os.fsencode(path) for path in paths))
        self._start(["-m", f"--batch-size={MERGED_AT_ONCE}", f"--files0-from={listed}", *self._keys], None)

    def _start(self, options: Sequence[str], stdin: int | None) -> None:
        out, stdout = pipe()
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        try:
            self._pid = self._programs.start("engine's sort", ["sort", *self._options, *options], stdin, stdout, env)
        except TaskFailed as failure:
            os.close(out)
            raise TaskFailed(SORT_FAILED, failure.message) from failure
        finally:
            os.close(stdout)
        self._sorted = read_blocks(out)

    def blocks(self) -> Iterator[bytes]:
        """The records in order. Raises TaskFailed when sort fails: a full disk, no memory."""
        self.close()
        yield from self._sorted
        if self._pid > 0 and self._programs.wait(self._pid):
            self.fail()

    def close(self) -> None:
        """No more records come."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def write(self, records: bytes) -> None:
        try:
            write_all(self.fd, records)
        except BrokenPipeError:
            self._programs.wait(self._pid)
            self.fail()

    def fail(self) -> None:
        self._programs.kill_all()
        said = self._programs.stderr.last_lines() or "it ended unexpectedly"
        raise TaskFailed(SORT_FAILED, f"Sorting failed: {said.splitlines()[-1]}", stderr=said)


Items = Iterable[tuple[bytes, int]]  # lines `key TAB value`, and how often each was written


class Table:
    """Counts equal lines before they are sorted: most lines of a mapper that counts are equal to others."""

    def __init__(self, sink: Callable[[Items], None]) -> None:
        self._sink = sink
        self._counts: Counter[bytes] = Counter()
        self._held_bytes = 0
        self.lines = 0

    def add(self, blocks: Iterable[bytes], line_bytes: int, who: str) -> None:
        counts = self._counts
        for block in whole_lines(blocks, line_bytes, f"the {who}'s output"):
            lines = block.split(b"\n")
            lines.pop()
            known = len(counts)
            counts.update(lines)
            self.lines += len(lines)
            # A dict keeps its order: what is new stands at its end.
            self._held_bytes += sum(map(len, islice(reversed(counts), len(counts) - known)))
            if len(counts) > TABLE_LINES or self._held_bytes > TABLE_BYTES:
                self.flush()

    def flush(self) -> None:
        self._sink(self._counts.items())
        self._counts.clear()
        self._held_bytes = 0


def write_items(sort: Sort, partitions: int, items: Items) -> None:
    """Give `sort` a record for each item."""
    marks = [b"%0*d" % (len(str(partitions - 1)), number) for number in range(partitions)]
    items = iter(items)
    while some := list(islice(items, _ROUND)):
        if partitions == 1:
            records = [b"%d\t0\t%b\n" % (count, line) for line, count in some]
        else:
            chosen = streaming_partitions([line for line, _ in some], partitions)
            records = [
                b"%d\t%b\t%b\n" % (count, marks[number], line)
                for number, (line, count) in zip(chosen, some, strict=True)
            ]
        sort.write(b"".join(records))


class Levels:
    """The counts of lines as numbers of base BASE, a sort for each of their digits.

    A combiner may run over parts of a key's values, and over what it has made of others. So a line that was
    written n times is not given to it n times: the values of a level are combined, and the result stands for
    them BASE times on the level below. Where a key has one line, written fewer than BASE times, there is nothing
    to gain: it goes to `sink` as it is.
    """

    BASE = 8

    def __init__(self, new_sort: Callable[[int], Sort], sink: Callable[[Items], None]) -> None:
        """`new_sort(n)` makes a sort that takes an n-th of the memory; `sink` is given what is not to be combined."""
        self._new_sort = new_sort
        self._sink = sink
        self._sorts: list[Sort] = []

    def write(self, items: Items) -> None:
        """Share the items' counts out to the levels."""
        level, base = 0, self.BASE
        given = list(items)
        keys = [line.partition(b"\t")[0] for line, _ in given]
        times = Counter(keys)
        alone = [count < base and times[key] == 1 for (_, count), key in zip(given, keys, strict=True)]
        self._sink(compress(given, alone))
        left = list(compress(given, map(not_, alone)))
        while left:
            if level == len(self._sorts):
                self._sorts.append(self._new_sort(2 << level))
                self._sorts[level].open()
            write_items(self._sorts[level], 1, (item if item[1] < base else (item[0], item[1] % base) for item in left))
            left = [(line, count // base) for line, count in left if count >= base]
            level += 1

    def rounds(self) -> Iterator[tuple[Expansion, Callable[[Items], None]]]:
        """From the highest level down: the lines to be combined, and where to what becomes of them."""
        while self._sorts:
            lines = Expansion(self._sorts.pop().blocks())
            yield lines, partial(self._write_below, self._sorts[-1]) if self._sorts else self._sink

    def _write_below(self, sort: Sort, items: Items) -> None:
        write_items(sort, 1, ((line, count * self.BASE) for line, count in items))


def cut(blocks: Iterable[bytes], folder: str) -> list[Spill]:
    """Write each partition's records, sorted by partition, to a file of its own; none where there are none."""
    spills: list[Spill] = []
    file = None
    try:
        for block in whole_lines(blocks, NO_LIMIT, "a spill"):
            for partition, records in _by_partition(block):
                if file is None or spills[-1].partition != partition:
                    if file is not None:
                        file.close()
                    spills.append(Spill(partition=partition, path=f"{folder}/spill-{partition}", size=0))
                    file = open(spills[-1].path, "wb", buffering=0)  # noqa: SIM115 - closed below, or by the next
                write_all(file.fileno(), records)
                spills[-1].size += len(records)
    finally:
        if file is not None:
            file.close()
    return spills


def join(blocks: Iterable[bytes], path: str) -> list[Spill]:
    """Write all records, sorted by partition, to one file, in which each partition's lie together."""
    spills: list[Spill] = []
    with open(path, "wb", buffering=0) as file:
        for block in whole_lines(blocks, NO_LIMIT, "a spill"):
            for partition, records in _by_partition(block):
                if not spills or spills[-1].partition != partition:
                    spills.append(Spill(partition=partition, path=path, size=0))
                spills[-1].size += len(records)
            write_all(file.fileno(), block)
    return spills


def _partition_of(record: bytes) -> int:
    return int(record.split(b"\t", 2)[1])


def _by_partition(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The block's parts; most blocks are of one partition, and are not looked at line by line."""
    first, last = _partition_of(block[: block.index(b"\n")]), _partition_of(block[block.rfind(b"\n", 0, -1) + 1 :])
    if first == last:
        yield first, block
        return
    for partition, records in groupby(block.split(b"\n")[:-1], _partition_of):
        yield partition, b"\n".join(records) + b"\n"


class Expansion:
    """From sorted records back to lines `key TAB value`, as often as each was written."""

    def __init__(self, records: Iterable[bytes]) -> None:
        self._records = records
        self.lines = 0
        self.groups = 0

    def __iter__(self) -> Iterator[bytes]:
        last: bytes | None = None
        for block in whole_lines(self._records, NO_LIMIT, "a spill"):
            out: list[bytes] = []
            added = 0  # bytes beyond those of the block
            records = block.split(b"\n")
            records.pop()
            for record in records:
                count, _, line = record.split(b"\t", 2)
                key = line.partition(b"\t")[0]
                if key != last:
                    last = key
                    self.groups += 1
                if count == b"1":
                    out.append(line)
                    continue
                times = int(count)
                self.lines += times - 1
                added += times * (len(line) + 1)
                if added <= BLOCK_BYTES:
                    out += [line] * times
                    continue
                yield _joined(out)
                yield from _repeated(line + b"\n", times)
                out, added = [], 0
            self.lines += len(records)
            yield _joined(out)


def _joined(lines: list[bytes]) -> bytes:
    lines.append(b"")
    return b"\n".join(lines)


def _repeated(line: bytes, times: int) -> Iterator[bytes]:
    """The line `times` times, in blocks."""
    at_once = max(BLOCK_BYTES // len(line), 1)
    whole, rest = divmod(times, at_once)
    for _ in range(whole):
        yield line * at_once
    yield line * rest
