"""What goes wrong in a task is said with its code, and leaves nothing: no process, no file, no half output."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import PYTHON, WORKER, Driver, JobFailed, run_task, splits

pytestmark = pytest.mark.group("mapreduce")

CAT = programs.python(programs.CAT)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.write_bytes(b"".join(b"key%d\tvalue\n" % number for number in range(100_000)))
    return path


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
    assert left == []
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(("mapreduce-", "."))] == []


def map_error(tmp_path: Path, source: Path, mapper: Sequence[str], **shared: Any) -> dict[str, Any]:
    result = run_task(tmp_path, Driver(tmp_path, 2, protocol="streaming", **shared).map_task(
        0, splits([source], 1 << 30), [*mapper, str(tmp_path)]))  # fmt: skip
    assert not result["done"]
    assert not list(tmp_path.glob("intermediate/*"))
    assert result["stderr"].splitlines()[-1] == f"{result['error']['code']}: {result['error']['message']}"
    found: dict[str, Any] = result["error"]
    return found


def test_a_mapper_that_crashes(tmp_path: Path, source: Path) -> None:
    crash = "import sys\nfor n, line in enumerate(sys.stdin):\n    print(line)\n    if n == 50_000: raise KeyError('x')"
    error = map_error(tmp_path, source, programs.python(crash))
    assert (error["code"], error["program"], error["exit_code"]) == ("PROGRAM_FAILED", "mapper", 1)
    assert error["message"] == "The mapper ended with exit code 1. It last said: KeyError: 'x'"
    assert error["stderr"].startswith("Traceback")


def test_a_mapper_that_is_killed(tmp_path: Path, source: Path) -> None:
    error = map_error(tmp_path, source, programs.python("import os; os.kill(os.getpid(), 11)"))
    assert (error["code"], error["signal"]) == ("PROGRAM_FAILED", "SIGSEGV")
    assert error["message"] == "The mapper was killed by SIGSEGV."


@pytest.mark.parametrize("argv", [["/no/such/mapper"], ["no-such-mapper-anywhere"], ["/etc/passwd"]])
def test_a_mapper_that_cannot_be_started(tmp_path: Path, source: Path, argv: list[str]) -> None:
    error = map_error(tmp_path, source, argv)
    assert error["code"] == "PROGRAM_FAILED"
    assert error["message"].startswith(f"The mapper {argv[0]} cannot be started: ")


def test_a_mapper_that_hangs_is_stopped_with_all_it_has_started(tmp_path: Path, source: Path) -> None:
    hang = "import subprocess, sys, time; subprocess.Popen(['sleep', '98761']); time.sleep(1000)"
    began = time.monotonic()
    error = map_error(tmp_path, source, programs.python(hang), limits={"seconds": 1.5})
    assert (error["code"], error["limit_seconds"]) == ("TIMEOUT", 1.5)
    assert error["message"] == "The task was stopped after 1.5 seconds."
    assert time.monotonic() - began < 15
    assert [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "98761"]] == []


def test_a_process_that_a_mapper_leaves_behind_is_ended(tmp_path: Path, source: Path) -> None:
    code = "import subprocess; null = subprocess.DEVNULL\n"
    code += "subprocess.Popen(['sleep', '98762'], stdout=null, stderr=null, stdin=null)"
    driver = Driver(tmp_path, protocol="streaming")
    assert run_task(tmp_path, driver.map_task(0, splits([source], 1 << 30), programs.python(code)))["done"]
    assert [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "98762"]] == []


def test_a_mapper_that_writes_one_endless_line(tmp_path: Path, source: Path) -> None:
    endless = "import sys\nfor _ in range(1024): sys.stdout.write('x' * (1 << 20))"
    error = map_error(tmp_path, source, programs.python(endless))
    assert error["code"] == "LINE_TOO_LONG"
    assert error["message"] == "Line 0 (from 0) of the mapper's output is longer than 16777216 bytes."


def test_garbage_is_keys_like_others(tmp_path: Path, source: Path) -> None:
    garbage = "import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(1 << 20))"
    driver = Driver(tmp_path, 2, protocol="streaming")
    found = driver.run(splits([source], 1 << 30), programs.python(garbage), CAT)
    written = driver.mapped[0]["records_out"]
    assert sum(map(len, found)) >= 1 << 20
    assert sum(result["records_in"] for result in driver.reduced) == written


def test_a_combiner_that_fails(tmp_path: Path, source: Path) -> None:
    mapper = programs.python("print('key\\n' * 100)")
    document = Driver(tmp_path, protocol="streaming").map_task(0, splits([source], 1 << 30), mapper)
    error = run_task(tmp_path, document | {"combiner": programs.python("raise SystemExit(3)")})["error"]
    assert (error["code"], error["program"], error["exit_code"]) == ("PROGRAM_FAILED", "combiner", 3)


def test_a_reducer_that_fails_leaves_no_output(tmp_path: Path, source: Path) -> None:
    half = "import sys; print(sys.stdin.readline(), flush=True); sys.exit(9)"
    with pytest.raises(JobFailed, match="The reducer ended with exit code 9"):
        Driver(tmp_path, protocol="streaming").run(splits([source], 1 << 30), CAT, programs.python(half))
    assert list((tmp_path / "output").iterdir()) == []


def test_a_reducer_that_fails_leaves_the_output_of_before(tmp_path: Path, source: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/0.json").write_text("before")
    with pytest.raises(JobFailed):
        Driver(tmp_path, protocol="streaming").run(splits([source], 1 << 30), CAT, programs.python("sys.exit(9)"))
    assert (tmp_path / "output/0.json").read_text() == "before"


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_map_output_that_is_broken_names_its_task(tmp_path: Path, source: Path, harm: str) -> None:
    driver = Driver(tmp_path, protocol="streaming")
    driver.mapped = [run_task(tmp_path, driver.map_task(i, splits([source], 1 << 30), CAT)) for i in range(2)]
    path = Path(driver.mapped[1]["outputs"][0]["path"])
    path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:-5])
    error = run_task(tmp_path, driver.reduce_task(0, CAT))["error"]
    assert (error["code"], error["map"]) == ("INPUT_UNREADABLE", 1)


def test_input_that_is_not_there(tmp_path: Path) -> None:
    document = Driver(tmp_path, protocol="streaming").map_task(0, [{"path": "/no/such", "size": 5}], CAT)
    error = run_task(tmp_path, document)["error"]
    assert error == {"code": "INPUT_UNREADABLE", "message": "/no/such cannot be read: No such file or directory."}


def test_input_that_has_changed_since_it_was_split(tmp_path: Path, source: Path) -> None:
    document = Driver(tmp_path, protocol="streaming").map_task(0, [{"path": str(source), "size": 5}], CAT)
    assert "and had 5 when it was split" in run_task(tmp_path, document)["error"]["message"]


def test_output_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    driver = Driver(tmp_path, protocol="streaming")
    document = driver.map_task(0, splits([source], 1 << 30), CAT, output={"path": "/proc/no"})
    error = run_task(tmp_path, document)["error"]
    assert error["code"] == "OUTPUT_UNWRITABLE"


def test_a_sort_that_fails(tmp_path: Path, source: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin/sort"
    broken.write_text("#!/bin/sh\necho 'no space left' >&2; exit 2\n")
    broken.chmod(0o755)
    document = Driver(tmp_path, protocol="streaming").map_task(0, splits([source], 1 << 30), CAT)
    error = run_task(tmp_path, document, {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})["error"]
    assert (error["code"], error["message"]) == ("SORT_FAILED", "Sorting failed: no space left")


def test_a_document_that_is_not_valid(tmp_path: Path) -> None:
    result = run_task(tmp_path, {"version": 1, "id": "x"})
    assert result["error"]["code"] == "BAD_TASK"
    assert result["seconds"] >= 0


def test_without_a_document_it_says_how_it_is_called() -> None:
    done = subprocess.run([*PYTHON, WORKER], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "usage: worker TASK.json, or MAPREDUCE_TASK_URL=https://… worker\n")


def test_what_programs_say_is_passed_on_up_to_a_bound(tmp_path: Path, source: Path) -> None:
    talk = "import sys\nfor n in range(3000): print('said', n, file=sys.stderr)"
    driver = Driver(tmp_path, protocol="streaming", limits={"stderr_bytes": 10_000})
    result = run_task(tmp_path, driver.map_task(0, splits([source], 1 << 30), programs.python(talk)))
    assert result["stderr"].startswith("said 0\nsaid 1\n")
    assert result["stderr"].endswith("\n(what programs write to stderr from here on is not kept)\n")
    assert len(result["stderr"]) < 10_100


def test_it_ends_when_it_is_asked_to(tmp_path: Path, source: Path) -> None:
    mapper = programs.python("import sys, time; print('up', file=sys.stderr, flush=True); time.sleep(1000)")
    document = Driver(tmp_path, protocol="streaming").map_task(0, splits([source], 1 << 30), [*mapper, str(tmp_path)])
    path = tmp_path / "task.json"
    path.write_text(json.dumps(document))
    process = subprocess.Popen([*PYTHON, WORKER, str(path)], stderr=subprocess.PIPE, env={"TMPDIR": str(tmp_path)})
    assert process.stderr is not None
    assert process.stderr.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert json.loads((tmp_path / "task.result.json").read_text())["error"]["code"] == "STOPPED"


def test_a_worker_that_is_killed_leaves_nothing_to_be_seen_and_may_be_run_again(tmp_path: Path, source: Path) -> None:
    slow = "import sys, time\nfor line in sys.stdin:\n    print(line, end='')\n"
    slow += "    if line == 'key500\\tvalue\\n': print('half', file=sys.stderr, flush=True); time.sleep(0.3)"
    document = Driver(tmp_path, 2, protocol="streaming").map_task(0, splits([source], 1 << 30), programs.python(slow))
    undisturbed = [Path(one["path"]).read_bytes() for one in run_task(tmp_path, document)["outputs"]]
    again = document | {"output": {"path": str(tmp_path / "again")}}
    path = tmp_path / "task.json"
    path.write_text(json.dumps(again))
    env = {"TMPDIR": str(tmp_path / "killed")}
    (tmp_path / "killed").mkdir()
    process = subprocess.Popen([*PYTHON, WORKER, str(path)], stderr=subprocess.PIPE, env=env)
    assert process.stderr is not None
    assert process.stderr.readline() == b"half\n"
    process.kill()
    process.communicate(timeout=20)
    shutil.rmtree(tmp_path / "killed")
    assert not (tmp_path / "again").exists()
    assert not path.with_suffix(".result.json").exists()
    assert [Path(one["path"]).read_bytes() for one in run_task(tmp_path, again)["outputs"]] == undisturbed


def test_it_starts_without_what_is_slow_to_load(tmp_path: Path) -> None:
    """Python itself takes half of the 40 milliseconds that a start may take; a test by the clock would be a lottery."""
    (tmp_path / "task.json").write_text("{}")
    command = [*PYTHON, "-X", "importtime", WORKER, str(tmp_path / "task.json")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    loaded = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert "worker.run" in loaded
    slow = {"argparse", "asyncio", "boto3", "dataclasses", "gzip", "inspect", "logging", "multiprocessing", "pathlib",
            "shutil", "socket", "ssl", "subprocess", "tempfile", "traceback", "typing", "urllib"}  # fmt: skip
    assert loaded & slow == set()
