"""Jobs of the apollo protocol, with programs compiled from C: a process per line and per key."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.mapreduce.worker.partition import apollo_hash
from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import WORKER, Driver, JobFailed, run_task, splits

pytestmark = pytest.mark.group("mapreduce")

TEXT = "the cat the dog\r\né the\n\ncat 1 2 1\nno newline at the end".encode()


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    mapper, reducer = programs.compiled(tmp_path_factory.mktemp("compiled"))
    return [mapper], [reducer]


def write(tmp_path: Path, text: bytes) -> Path:
    path = tmp_path / "in.txt"
    path.write_bytes(text)
    return path


def expected(text: bytes, partitions: int) -> list[dict[str, Any]]:
    """A plain count; of an empty line the word is the empty one."""
    counts = Counter(word for line in text.decode().splitlines() for word in line.split(" "))
    ordered = sorted(counts.items(), key=lambda one: apollo_hash(one[0]))
    return [
        {"pairs": [{"key": k, "value": v} for k, v in ordered if apollo_hash(k) % partitions == i]}
        for i in range(partitions)
    ]


@pytest.mark.needs("compiler")
@pytest.mark.parametrize("split_bytes", [7, 13, 64, 10_000])
def test_words_are_counted_whatever_the_splits(
    tmp_path: Path, words: tuple[list[str], list[str]], split_bytes: int
) -> None:
    driver = Driver(tmp_path, 3, protocol="apollo")
    found = driver.run(splits([write(tmp_path, TEXT)], split_bytes), *words)
    assert [json.loads(one) for one in found] == expected(TEXT, 3)
    assert not [name for folder in driver.sockets.iterdir() for name in os.listdir(folder)]


@pytest.mark.needs("compiler")
def test_of_no_input_each_reducer_writes_no_pairs(tmp_path: Path, words: tuple[list[str], list[str]]) -> None:
    found = Driver(tmp_path, 2, protocol="apollo").run(splits([write(tmp_path, b"")], 10), *words)
    assert found == [b'{"pairs":[]}', b'{"pairs":[]}']


@pytest.mark.needs("compiler")
def test_a_key_may_have_more_values_than_a_socket_takes_at_once(
    tmp_path: Path, words: tuple[list[str], list[str]]
) -> None:
    path = write(tmp_path, (b"same " * 20_000 + b"\n") * 10)
    found = Driver(tmp_path, 1, protocol="apollo").run(splits([path], 1 << 20), *words)
    assert json.loads(found[0]) == {"pairs": [{"key": "same", "value": 200_000}]}


@pytest.mark.needs("compiler")
def test_figures_are_told(tmp_path: Path, words: tuple[list[str], list[str]]) -> None:
    driver = Driver(tmp_path, 1, protocol="apollo")
    driver.run(splits([write(tmp_path, TEXT)], 1 << 20), *words)
    mapped, reduced = driver.mapped[0], driver.reduced[0]
    assert (mapped["records_in"], mapped["bytes_in"], mapped["records_out"]) == (5, len(TEXT), 16)
    assert (reduced["records_in"], reduced["groups"], reduced["records_out"]) == (16, 11, 11)
    assert reduced["bytes_out"] == (tmp_path / "output/0.json").stat().st_size


@pytest.mark.needs("compiler", "bubblewrap")
def test_two_tasks_use_the_same_names_in_a_tmp_of_their_own(tmp_path: Path, words: tuple[list[str], list[str]]) -> None:
    driver = Driver(tmp_path, 1, protocol="apollo")
    path = write(tmp_path, b"a b\n" * 200)
    alone = shutil.copytree(WORKER, tmp_path / "alone")
    mapper = str(shutil.copy(words[0][0], tmp_path))
    running = []
    for index in range(2):
        private = tmp_path / f"private-{index}"
        private.mkdir()
        document = driver.map_task(index, splits([path], 1 << 20), [mapper], sockets="/tmp")
        task = tmp_path / f"task-{index}.json"
        task.write_text(json.dumps(document))
        command = ["bwrap", "--ro-bind", "/", "/", "--bind", str(private), "/tmp", "--bind", str(tmp_path),
                   str(tmp_path), "--unshare-all", "--die-with-parent", "--dev", "/dev", "--proc", "/proc",
                   os.path.realpath(sys.executable), "-I", "-S", str(alone), str(task)]  # fmt: skip
        running.append(subprocess.Popen(command, env={"PATH": os.environ["PATH"]}))
    assert [process.wait(60) for process in running] == [0, 0]
    first, second = ((tmp_path / f"intermediate/job-m-{index}_0").read_bytes() for index in range(2))
    assert first.replace(b"0000000000:", b"0000000001:") == second
    assert first.count(b"\n") == 400


# --- Programs that do as they please: in Python, without a compiler -------------------------------

_HEAD = """
import json, os, socket, sys
folder = os.environ["SOCKETS"]
def answer(name, text):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{folder}/{name}.sock")
        s.sendall(text if isinstance(text, bytes) else json.dumps(text).encode())
def listen():
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{folder}/reduce-input-{sys.argv[1]}.sock")
    s.listen()
    return s
def request():
    c, _ = listen().accept()
    text = b""
    while b := c.recv(100):
        text += b
    return json.loads(text)
"""
PAIRS = 'answer("map", {"pairs": [{"key": k, "value": v} for k, v in json.loads(sys.argv[2])]})'
LIST = 'r = request(); answer("reduce", {"key": r["key"], "value": r["value"]})'


def program(folder: Path, code: str) -> list[str]:
    path = folder / f"program-{len(list(folder.glob('program-*')))}"
    path.write_text(f"#!{sys.executable} -IS\n{_HEAD}\n{code}\n")
    path.chmod(0o744)
    return [str(path)]


def run(tmp_path: Path, lines: list[Any], mapper: str = PAIRS, reducer: str = LIST, **shared: Any) -> Any:
    path = write(tmp_path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    driver = Driver(tmp_path, 1, protocol="apollo", **shared)
    found = driver.run(splits([path], 30), program(tmp_path, mapper), program(tmp_path, reducer))
    return json.loads(found[0])["pairs"]


def test_true_is_not_one_and_values_keep_their_order(tmp_path: Path) -> None:
    lines = [[[True, "a"], [1, "b"]], [["1", "c"], [1.0, {"d": [None]}]], [[True, 2**60], [1, "e\tf\ng"]]]
    found = {json.dumps(pair["key"]): pair["value"] for pair in run(tmp_path, lines)}
    assert found == {"true": ["a", 2**60], "1": ["b", {"d": [None]}, "e\tf\ng"], '"1"': ["c"]}


def test_keys_are_ordered_by_hash(tmp_path: Path) -> None:
    keys = [*"abcdefgh", 1, 2, 2.5, True, False, "é", ""]
    found = [pair["key"] for pair in run(tmp_path, [[[key, 0]] for key in keys])]
    assert [apollo_hash(key) for key in found] == sorted(apollo_hash(key) for key in keys)


def test_keys_of_one_hash_are_ordered_by_first_appearance(tmp_path: Path) -> None:
    first, second = 2**53 + 1, 2**53  # the same as float64
    found = run(tmp_path, [[[first, 1]], [[second, 2]], [[first, 3]]])
    assert found == [{"key": first, "value": [1, 3]}, {"key": second, "value": [2]}]


def test_a_mapper_may_have_no_pairs(tmp_path: Path) -> None:
    assert run(tmp_path, [[]], mapper='answer("map", {"pairs": None})') == []


def test_a_mapper_may_answer_through_a_child(tmp_path: Path) -> None:
    child = f"pid = os.fork()\nif not pid:\n    {PAIRS}\n    os._exit(0)\nos.waitpid(pid, 0)"
    assert run(tmp_path, [[["a", 1]], [["b", 2]]], mapper=child)[0]["value"] in ([1], [2])


def test_lines_are_numbered_within_their_split(tmp_path: Path) -> None:
    mapper = 'answer("map", {"pairs": [{"key": sys.argv[2], "value": int(sys.argv[1])}]})'
    path = write(tmp_path, b"aaaa\nbbbb\ncccc\n")
    driver = Driver(tmp_path, 1, protocol="apollo")
    found = driver.run(splits([path], 6), program(tmp_path, mapper), program(tmp_path, LIST))
    numbers = {pair["key"]: pair["value"] for pair in json.loads(found[0])["pairs"]}
    assert numbers == {"aaaa": [0], "bbbb": [1], "cccc": [0]}


def test_a_reducer_may_read_once_and_be_slow_to_listen(tmp_path: Path) -> None:
    once = "import time; time.sleep(0.3); c, _ = listen().accept(); r = json.loads(c.recv(1024)); c.close()\n"
    assert run(tmp_path, [[["a", 1], ["a", 2]]], reducer=once + 'answer("reduce", r)') == [
        {"key": "a", "value": [1, 2]}
    ]


@pytest.mark.parametrize(
    ("mapper", "reducer", "code", "message"),
    [
        ("sys.exit('no such thing')", LIST, "PROGRAM_FAILED", "The mapper ended with exit code 1.*no such thing"),
        ("os.kill(os.getpid(), 9)", LIST, "PROGRAM_FAILED", "The mapper was killed by SIGKILL"),
        ("pass", LIST, "BAD_OUTPUT", "The mapper ended without an answer on map.sock"),
        ("answer('map', b'{garbage')", LIST, "BAD_OUTPUT", "An answer of the mapper is not JSON.*{garbage"),
        ("answer('map', [1])", LIST, "BAD_OUTPUT", "An answer of the mapper is not {"),
        ("answer('map', {'pairs': [1]})", LIST, "BAD_OUTPUT", "has a pair that is not an object with a key"),
        ("answer('map', {'pairs': [{'key': None}]})", LIST, "BAD_OUTPUT", "has a key that is none"),
        ("answer('map', b'{\"pairs\":[{\"key\":NaN}]}')", LIST, "BAD_OUTPUT", "NaN is not JSON"),
        ("answer('map', {'pairs': []}); answer('map', {'pairs': []})", LIST, "BAD_OUTPUT", "The mapper answered twice"),
        ("answer('map', b' ' * 5000)", LIST, "BAD_OUTPUT", "An answer of the mapper is longer than 4096 bytes"),
        (PAIRS, "request(); sys.exit(7)", "PROGRAM_FAILED", "The reducer ended with exit code 7"),
        (PAIRS, "request()", "BAD_OUTPUT", "The reducer ended without an answer on reduce.sock"),
        (PAIRS, "pass", "BAD_OUTPUT", "The reducer ended without an answer on reduce.sock"),
        (PAIRS, "answer('reduce', {'key': {'key': 'a'}, 'value': 1})", "BAD_OUTPUT", "does not name its order"),
        (PAIRS, "answer('reduce', {'key': {'key': 'a', 'value': 9}, 'value': 1})", "BAD_OUTPUT", "does not name its"),
        (PAIRS, "answer('reduce', {'key': {'key': 'a', 'value': 0}})", "BAD_OUTPUT", "has no value"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(tmp_path: Path, mapper: str, reducer: str, code: str, message: str) -> None:
    with pytest.raises(JobFailed, match=message) as caught:
        run(tmp_path, [[["a", 1]], [["a", 2]]], mapper, reducer, limits={"answer_bytes": 4096})
    assert caught.value.args[0]["error"]["code"] == code
    assert not (tmp_path / "output/0.json").exists()


def test_the_failing_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"ok\nok\nbad\nok\n")
    mapper = 'sys.exit(sys.argv[2] == "bad") if sys.argv[2] == "bad" else answer("map", {"pairs": []})'
    document = Driver(tmp_path, protocol="apollo").map_task(0, splits([path], 100), program(tmp_path, mapper))
    error = run_task(tmp_path, document)["error"]
    assert (error["program"], error["number"], error["exit_code"]) == ("mapper", 2, 1)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b"x" * (128 << 10), "LINE_TOO_LONG", r"Line 1 \(from 0\) of .* has 131072 bytes, too long for an argument"),
        (b"x" * (3 << 20), "LINE_TOO_LONG", r"Line 1 \(from 0\) of .* is longer than 131072 bytes"),
        (b"a\0b", "BAD_LINE", r"Line 1 \(from 0\) of .* has a NUL byte"),
    ],
)
def test_a_line_that_cannot_be_an_argument_is_refused(tmp_path: Path, line: bytes, code: str, message: str) -> None:
    path = write(tmp_path, b"fine\n" + line + b"\n")
    mapper = program(tmp_path, 'answer("map", {"pairs": []})')
    result = run_task(tmp_path, Driver(tmp_path, protocol="apollo").map_task(0, splits([path], 1 << 30), mapper))
    assert result["error"]["code"] == code
    assert re.search(message, result["error"]["message"])


def test_a_line_that_just_fits_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * (128 * 1024 - 1) + b"\n")
    mapper = program(tmp_path, 'answer("map", {"pairs": [{"key": "n", "value": len(sys.argv[2])}]})')
    found = Driver(tmp_path, 1, protocol="apollo").run(splits([path], 1 << 30), mapper, program(tmp_path, LIST))
    assert json.loads(found[0])["pairs"][0]["value"] == [131071]


def test_stale_sockets_do_not_matter(tmp_path: Path) -> None:
    driver = Driver(tmp_path, 1, protocol="apollo")
    path = write(tmp_path, b'[["a", 1]]\n')
    maps, reduces = program(tmp_path, PAIRS), program(tmp_path, LIST)
    driver.run(splits([path], 100), maps, reduces)
    for name in ("job-m-0/map", "job-r-0/reduce", "job-r-0/reduce-input-0"):
        (driver.sockets / f"{name}.sock").write_text("stale")
    shutil.rmtree(tmp_path / "output")
    assert json.loads(driver.run(splits([path], 100), maps, reduces)[0])["pairs"] == [{"key": "a", "value": [1]}]
