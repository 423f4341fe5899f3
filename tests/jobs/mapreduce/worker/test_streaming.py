"""Jobs of the streaming protocol: results are those of a plain count, whatever the splits."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.mapreduce.worker import run, shuffle
from jobs.mapreduce.worker.partition import streaming_partitions
from tests.jobs.mapreduce.worker import driver as drivers
from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import Driver, run_task, splits

pytestmark = pytest.mark.group("mapreduce")

MAPPER, REDUCER = programs.python(programs.MAPPER), programs.python(programs.REDUCER)
CAT = programs.python(programs.CAT)


def words(seed: int, lines: int) -> bytes:
    """Text of few frequent and many rare words, with all kinds of line ends."""
    choose = random.Random(seed)
    found = []
    for _ in range(lines):
        line = " ".join(f"w{int(choose.paretovariate(0.7))}é"[:9] for _ in range(choose.randrange(12)))
        found.append(line + choose.choice(["\n", "\n", "\r\n"]))
    return "".join(found).removesuffix("\n").encode()


def expected(text: bytes, partitions: int) -> list[bytes]:
    """What each reducer should write: a plain count, sorted bytewise."""
    counts = sorted((word.encode(), count) for word, count in Counter(text.decode().split()).items())
    return [
        b"".join(b"%b\t%d\n" % one for one in counts if streaming_partitions([one[0]], partitions) == [i])
        for i in range(partitions)
    ]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(words(1, 3000))
    return path


@pytest.mark.parametrize(("partitions", "split_bytes"), [(1, 1 << 20), (1, 9_000), (3, 20_000), (12, 50_000)])
def test_words_are_counted(tmp_path: Path, text: Path, partitions: int, split_bytes: int) -> None:
    found = Driver(tmp_path, partitions, protocol="streaming").run(splits([text], split_bytes), MAPPER, REDUCER)
    assert found == expected(text.read_bytes(), partitions)


def test_a_combiner_changes_no_result(tmp_path: Path, text: Path) -> None:
    driver = Driver(tmp_path, 3, protocol="streaming")
    found = driver.run(splits([text], 30_000), MAPPER, REDUCER, combiner=REDUCER)
    assert found == expected(text.read_bytes(), 3)
    assert sum(result["records_in"] for result in driver.reduced) < sum(r["records_out"] for r in driver.mapped) / 2


def test_a_combiner_reads_a_repeated_line_a_few_times_only(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"often seldom\n" * 3 + b"often\n" * 99_997)
    tell = "import atexit, sys; seen = []; atexit.register(lambda: print('read', len(seen), file=sys.stderr))\n"
    tell += "stdin, sys.stdin = sys.stdin, (seen.append(1) or line for line in sys.stdin)\n"
    driver = Driver(tmp_path, 1, protocol="streaming")
    found = driver.run(splits([path], 1 << 30), MAPPER, REDUCER, combiner=programs.python(tell + programs.REDUCER))
    assert found == [b"often\t100000\nseldom\t3\n"]
    read = [int(line.split()[1]) for line in driver.mapped[0]["stderr"].splitlines() if line.startswith("read ")]
    assert sum(read) < 100
    assert driver.mapped[0]["records_out"] == 100_003
    assert driver.reduced[0]["records_in"] == 1 + 3, "what is seldom is not worth it"


@given(st.lists(st.tuples(st.sampled_from([b"a\tx", b"a\ty", b"b"]), st.integers(1, 600)), max_size=5))
def test_no_value_is_lost_between_levels(items: list[tuple[bytes, int]]) -> None:
    sorts: list[list[tuple[bytes, int]]] = []

    class Held:
        """Instead of a sort: what is written to it."""

        def __init__(self, share: int) -> None:
            assert share == 2 << len(sorts)

        def open(self) -> None:
            sorts.append([])
            self.items = sorts[-1]

        def write(self, records: bytes) -> None:
            self.items += [(line, int(count)) for count, _, line in (r.split(b"\t", 2) for r in records.splitlines())]

        def blocks(self) -> Iterator[bytes]:
            yield b"".join(b"%d\t0\t%b\n" % (count, line) for line, count in self.items)

    found: Counter[bytes] = Counter()
    levels = shuffle.Levels(Held, lambda few: found.update(dict(few)))  # type: ignore[arg-type]
    for item in items:
        levels.write([item])
    weight = shuffle.Levels.BASE ** (len(sorts) - 1)
    for lines, _ in levels.rounds():
        for line in b"".join(lines).splitlines():
            found[line] += weight
        weight //= shuffle.Levels.BASE
    wanted: Counter[bytes] = Counter()
    for line, count in items:
        wanted[line] += count
    assert found == wanted


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, text: Path) -> None:
    """Whatever comes first: values are in order, too."""
    numbered = programs.python("import sys\nfor n, line in enumerate(sys.stdin):\n    print(len(line), n, sep='\\t')")
    found = []
    for number, slots in enumerate((1, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(Driver(folder, 2, slots, protocol="streaming").run(splits([text], 20_000), numbered, CAT))
    assert found[0] == found[1]
    assert all(found[0])


def test_more_map_outputs_than_are_merged_at_once(tmp_path: Path, text: Path) -> None:
    driver = Driver(tmp_path, 1, protocol="streaming")
    driver.mapped = [run_task(tmp_path, driver.map_task(0, splits([text], 1 << 30), MAPPER))] * 150
    assert run_task(tmp_path, driver.reduce_task(0, REDUCER))["done"]
    once = [line.split(b"\t") for line in expected(text.read_bytes(), 1)[0].splitlines()]
    found = (tmp_path / "output/0.json").read_bytes().splitlines()
    assert found == [b"%b\t%d" % (word, int(count) * 150) for word, count in once]


def test_a_table_that_is_full_many_times_changes_no_result(tmp_path: Path, text: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffle, "TABLE_LINES", 100)
        driver = Driver(tmp_path, 2, protocol="streaming")
        document = driver.map_task(0, splits([text], 1 << 30), MAPPER)
        full = _records_of(tmp_path, document)
    driver.mapped = [run_task(tmp_path, document)]
    whole = [Path(output["path"]).read_bytes() for output in driver.mapped[0]["outputs"]]
    assert [_expanded(block) for block in full] == [_expanded(block) for block in whole]
    assert sum(map(len, full)) > sum(map(len, whole))


def _records_of(folder: Path, document: dict[str, Any]) -> list[bytes]:
    """The map task run in this process."""
    path = folder / "here.json"
    path.write_text(json.dumps(document))
    assert run.main([str(path)]) == 0
    result = json.loads(path.with_suffix(".result.json").read_text())
    return [Path(output["path"]).read_bytes() for output in result["outputs"]]


def _expanded(records: bytes) -> list[bytes]:
    found = []
    for record in records.splitlines():
        count, _, line = record.split(b"\t", 2)
        found += [line] * int(count)
    return found


def test_gzip_files_and_plain_ones_are_read_together(tmp_path: Path, text: Path) -> None:
    packed = tmp_path / "more.gz"
    more = words(2, 500) + b"\n"
    packed.write_bytes(gzip.compress(more[:2000]) + gzip.compress(more[2000:]))
    found = Driver(tmp_path, 2, protocol="streaming").run(splits([text, packed], 40_000), MAPPER, REDUCER)
    assert found == expected(text.read_bytes() + b"\n" + more, 2)


def test_one_task_may_have_several_splits(tmp_path: Path, text: Path) -> None:
    driver = Driver(tmp_path, 1, protocol="streaming")
    driver.mapped = [run_task(tmp_path, driver.map_task(0, splits([text], 7_000), MAPPER))]
    result = run_task(tmp_path, driver.reduce_task(0, REDUCER))
    assert result["done"]
    assert (tmp_path / "output/0.json").read_bytes() == expected(text.read_bytes(), 1)[0]


def test_figures_are_told(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"a b a\r\n\nb c")
    driver = Driver(tmp_path, 1, protocol="streaming")
    driver.run(splits([path], 100), MAPPER, REDUCER)
    mapped, reduced = driver.mapped[0], driver.reduced[0]
    assert (mapped["records_in"], mapped["bytes_in"], mapped["records_out"]) == (3, 11, 5)
    assert mapped["bytes_out"] == mapped["outputs"][0]["size"] == reduced["bytes_in"]
    assert (reduced["records_in"], reduced["groups"], reduced["records_out"], reduced["bytes_out"]) == (5, 3, 3, 12)
    assert mapped["warnings"] == reduced["warnings"] == []
    assert mapped["task"] == "job-m-0"
    assert mapped["version"] == 1


def test_of_no_input_a_reducer_makes_what_it_makes_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"")
    assert Driver(tmp_path, 2, protocol="streaming").run(splits([path], 10), MAPPER, REDUCER) == [b"", b""]


LINES = st.lists(
    st.tuples(st.binary(max_size=3), st.none() | st.binary(max_size=2)).map(
        lambda pair: pair[0].replace(b"\t", b"") if pair[1] is None else pair[0].replace(b"\t", b"") + b"\t" + pair[1]
    ),
    max_size=20,
).map(lambda lines: [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_keys_are_grouped_and_sorted_bytewise(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    found = Driver(tmp_path, 1, protocol="streaming").run(splits([path], 9), CAT, CAT)
    wanted = sorted(lines, key=lambda line: (line.partition(b"\t")[0], line))
    assert found[0].split(b"\n")[:-1] == wanted


def test_programs_see_where_they_are_and_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"x\n")
    show = programs.python("import os; print(*sorted(f'{n}={v}' for n, v in os.environ.items()), sep='\\t\\n')")
    driver = Driver(tmp_path, 1, protocol="streaming", stores={"s": {"secret_key_env": "STORE_SECRET"}})
    document = driver.map_task(0, splits([path], 9), show)
    result = run_task(tmp_path, document, {"STORE_SECRET": "s3cret", "MINE": "yes"})
    seen = Path(result["outputs"][0]["path"]).read_text()
    assert "MINE=yes" in seen
    assert f"mapreduce_map_input_file={path}" in seen
    assert "mapreduce_task_partition=0" in seen
    assert "s3cret" not in seen
    assert "PYTHONUNBUFFERED" not in seen


def test_a_program_that_reads_only_the_begin_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"line\n" * 1_000_000)
    head = programs.python("import sys; print(sys.stdin.readline().strip())")
    driver = Driver(tmp_path, 1, protocol="streaming")
    driver.run(splits([path], 1 << 30), head, head)
    assert driver.mapped[0]["warnings"] == ["The mapper ended without reading all of its input."]
    assert (tmp_path / "output/0.json").read_bytes() == b"line\n"
    driver.run(splits([path], 1 << 30), CAT, head)
    assert driver.reduced[0]["warnings"] == ["The reducer ended without reading all of its input."]


_PEAK = """
import os, resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as file:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM:")), file=file)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
"""


@pytest.mark.parametrize("kind", ["one line", "all different"])
def test_memory_is_bounded_whatever_the_input(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "PYTHON", [sys.executable, "-I", "-S", "-c", _PEAK])
    path = tmp_path / "in"
    with path.open("wb") as file:
        for block in range(200 if kind == "one line" else 60):
            numbers = range(block * 40_000, (block + 1) * 40_000)
            file.write(b"x" * (1 << 20) if kind == "one line" else b"".join(b"%025d\n" % n for n in numbers))
    count = "import sys; n = 0\nwhile b := sys.stdin.buffer.read(1 << 20): n += len(b)\nprint('bytes', n, sep='\\t')"
    program = programs.python(count if kind == "one line" else programs.CAT)
    driver = Driver(tmp_path, 1, protocol="streaming")
    peaks = [tmp_path / "map.peak", tmp_path / "reduce.peak"]
    document = driver.map_task(0, splits([path], 1 << 30), program)
    driver.mapped = [run_task(tmp_path, document, {"PEAK": str(peaks[0])})]
    result = run_task(tmp_path, driver.reduce_task(0, CAT), {"PEAK": str(peaks[1])})
    output = (tmp_path / "output/0.json").read_bytes()
    assert output == (b"bytes\t%d\n" % ((200 << 20) + 1) if kind == "one line" else path.read_bytes())
    assert result["records_in"] == (1 if kind == "one line" else 2_400_000)
    kib = [[int(line) for line in peak.read_text().splitlines()] for peak in peaks]
    assert max(worker for worker, _ in kib) < 100 << 10
    assert max(sort for _, sort in kib) < 120 << 10, "the largest of sort and the programs"
