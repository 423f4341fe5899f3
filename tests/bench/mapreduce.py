"""Word count with the MapReduce worker, beside a hash table in C with two threads; as ratios of one run."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests import needs
from tests.bench import limits
from tests.bench.line import Line
from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import Driver, splits

SLOTS: Final = 2
MIB: Final = 1 << 20
ROUNDS: Final = 3
CALLS: Final = 3000  # lines of the apollo protocol

# One line for each word, and nothing else that could be quicker or slower.
NAIVE_MAPPER: Final = r"""
import sys
write = sys.stdout.write
for line in sys.stdin:
    for word in line.split():
        write(word + "\t1\n")
"""


def _interpreter() -> str:
    """The distribution's Python where it is new enough: it is built to be fast, as one built at home often is not."""
    system = "/usr/bin/python3"
    new = [system, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if os.path.exists(system) and subprocess.run(new, check=False).returncode == 0:
        return system
    return sys.executable


class Words:
    """Texts, and the program that makes and counts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = str(folder / "words")
        source = Path(__file__).with_name("words.c")
        compiler = shutil.which("gcc") or shutil.which("cc")
        assert compiler
        subprocess.run(
            [compiler, "-O3", "-march=native", "-pthread", str(source), "-o", self._program, "-lm"], check=True
        )

    def text(self, mib: int) -> Path:
        path = self.folder / f"{mib}.txt"
        if not path.exists():
            subprocess.run([self._program, "generate", str(mib), str(path)], check=True)
        return path

    def limit(self, text: Path) -> tuple[float, bytes]:
        """Seconds, and what it found."""
        began = time.perf_counter()
        found = subprocess.run([self._program, "count", str(text), "2"], check=True, capture_output=True).stdout
        return time.perf_counter() - began, found


def _measure(
    words: Words, mib: int, split_mib: int, mapper: str, combiner: str | None = None
) -> tuple[float, float, float]:
    """Our throughput over the limit's, MB/s, and CPU seconds over the limit's; medians of some rounds."""
    text, interpreter = words.text(mib), _interpreter()
    ratios, rates, cpus = [], [], []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=words.folder) as folder:
            driver = Driver(Path(folder), SLOTS, SLOTS, protocol="streaming")
            driver.python = [interpreter, "-I", "-S"]
            before, (limit, wanted), between = _cpu(), words.limit(text), _cpu()
            began = time.perf_counter()
            found = driver.run(
                splits([text], split_mib * MIB), programs.python(mapper, interpreter),
                programs.python(programs.REDUCER, interpreter),
                programs.python(combiner, interpreter) if combiner else None,
            )  # fmt: skip
            took = time.perf_counter() - began
            if not number:
                assert sorted(b"".join(found).splitlines()) == sorted(wanted.splitlines()), "wrong counts"
            ratios.append(limit / took)
            rates.append(text.stat().st_size / 1e6 / took)
            cpus.append((_cpu() - between) / (between - before))
    return statistics.median(ratios), statistics.median(rates), statistics.median(cpus)


def _cpu() -> float:
    return sum(os.times()[2:4])


def _apollo(words: Words) -> list[Line]:
    mapper, reducer = programs.compiled(words.folder)
    text = words.folder / "lines.txt"
    text.write_bytes(b"".join(b"some %d words\n" % (number % 700) for number in range(CALLS)))
    rates: list[float] = []
    keys: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=words.folder) as folder:
            driver = Driver(Path(folder), SLOTS, SLOTS, protocol="apollo")
            driver.python = [_interpreter(), "-I", "-S"]
            limit = limits.fork_exec_rate()
            driver.run(splits([text], text.stat().st_size // SLOTS + 1), [mapper], [reducer])
            took = max(result["seconds"] for result in driver.mapped)
            rates.append(sum(result["records_in"] for result in driver.mapped) / took / limit)
            took = max(result["seconds"] for result in driver.reduced)
            keys.append(sum(result["groups"] for result in driver.reduced) / took / limit)
    note = f"two tasks at once, {CALLS} lines"
    return [
        Line("socket protocol: lines per second over C fork+exec x2", statistics.median(rates), 0.4, 0.6, note, True),
        Line("socket protocol: keys per second over C fork+exec x2", statistics.median(keys), 0.3, 0.5, note, True),
    ]


def word_count(url: str) -> list[Line]:
    if missing := needs.missing("compiler"):
        print(f"NOT MEASURED: word count, {missing}")
        return []
    with tempfile.TemporaryDirectory(prefix="bench-mapreduce-") as folder:
        words = Words(Path(folder))
        lines = []
        cases: Sequence[tuple[str, int, int, str, str | None, float, float]] = [
            ("combining mapper, 256 MiB", 256, 64, programs.COMBINING_MAPPER, None, 0.14, 0.19),
            ("naive mapper, 32 MiB", 32, 16, NAIVE_MAPPER, None, 0.10, 0.13),
            ("naive mapper with a combiner, 32 MiB", 32, 16, NAIVE_MAPPER, programs.REDUCER, 0.15, 0.18),
        ]
        for what, mib, split_mib, mapper, combiner, accept, aim in cases:
            ratio, rate, cpu = _measure(words, mib, split_mib, mapper, combiner)
            note = f"{rate:.1f} MB/s; {cpu:.1f} times its CPU; load {os.getloadavg()[0]:.1f}"
            lines.append(Line(f"word count, {what}: speed over C x2", ratio, accept, aim, note, True))
        return lines + _apollo(words)
