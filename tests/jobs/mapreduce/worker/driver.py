"""Runs whole MapReduce jobs with the worker alone: all map tasks with some slots, then all reduce tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.environment import CHECKOUT

WORKER = str(CHECKOUT / "jobs/mapreduce/worker")
PYTHON = [sys.executable, "-I", "-S"]
TASK_SECONDS = 300
# Of a short path, whatever that of a test's own folder: a socket's has 107 bytes at most. Gone with this process.
_SOCKETS = tempfile.TemporaryDirectory(prefix="mr-")


def run_task(
    folder: Path, document: Mapping[str, Any], env: Mapping[str, str] | None = None, python: Sequence[str] | None = None
) -> dict[str, Any]:
    """The result document, which is read whatever the exit code says; both must agree."""
    path = folder / f"{document.get('id', 'task')}.json"
    path.write_text(json.dumps(document))
    sockets = str(document.get("sockets", "/tmp"))
    own = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "PYTHONUNBUFFERED": "1",
        "SOCKETS": sockets,
        **(env or {}),
    }
    done = subprocess.run(
        [*(python or PYTHON), WORKER, str(path)],
        env=own,
        capture_output=True,
        timeout=TASK_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    result: dict[str, Any] = json.loads(path.with_suffix(".result.json").read_text())
    assert done.returncode == (0 if result["done"] else 1), done.stderr.decode(errors="replace")
    result["stderr"] = done.stderr.decode(errors="replace")
    return result


def splits(paths: Sequence[Path], split_bytes: int) -> list[dict[str, Any]]:
    """What the coordinator would make of input files: none of an empty one, one of a compressed one."""
    found = []
    for path in paths:
        size = path.stat().st_size
        step = size if path.suffix == ".gz" else split_bytes
        for start in range(0, size, step):
            one = {"path": str(path), "start": start, "end": min(start + step, size), "size": size}
            found.append(one | ({"gzip": True} if path.suffix == ".gz" else {}))
    return found


class JobFailed(Exception):
    """A task has failed; its result is the argument."""


class Driver:
    """One job. `shared` are members of every task document: protocol, limits, stores."""

    python: Sequence[str] | None = None  # what runs the worker, if not PYTHON

    def __init__(self, folder: Path, partitions: int = 1, slots: int = 2, **shared: Any) -> None:
        self.folder = folder
        self.slots = slots
        self.shared = {"version": 1, "job": "job", "partitions": partitions, **shared}
        self.sockets = Path(tempfile.mkdtemp(dir=_SOCKETS.name))
        self.mapped: list[dict[str, Any]] = []
        self.reduced: list[dict[str, Any]] = []

    def map_task(self, index: int, inputs: Sequence[Mapping[str, Any]], program: Sequence[str], **members: Any) -> Any:
        output = {"path": str(self.folder / "intermediate")}
        task = self._task(f"job-m-{index}", "map", index, program)
        return {**self.shared, **task, "input": list(inputs), "output": output, **members}

    def _task(self, name: str, stage: str, index: int, program: Sequence[str]) -> dict[str, Any]:
        """Sockets have fixed names: a folder for each task, as it has a /tmp of its own where it is sandboxed."""
        sockets = self.sockets / name
        sockets.mkdir(exist_ok=True)
        return {"id": name, "stage": stage, "index": index, "program": list(program), "sockets": str(sockets)}

    def reduce_task(self, index: int, program: Sequence[str], **members: Any) -> dict[str, Any]:
        """Of the map tasks that have run."""
        given = [output for result in self.mapped for output in result["outputs"] if output["partition"] == index]
        output = {"path": str(self.folder / "output" / f"{index}.json")}
        task = self._task(f"job-r-{index}", "reduce", index, program)
        return {**self.shared, **task, "input": given, "output": output, **members}

    def run(
        self,
        inputs: Sequence[Mapping[str, Any]],
        mapper: Sequence[str],
        reducer: Sequence[str],
        combiner: Sequence[str] | None = None,
    ) -> list[bytes]:
        """The output of each reducer. Raises JobFailed."""
        combined = {"combiner": list(combiner)} if combiner else {}
        maps = [self.map_task(number, [split], mapper, **combined) for number, split in enumerate(inputs)]
        self.mapped = self._run_all(maps)
        self.reduced = self._run_all([self.reduce_task(i, reducer) for i in range(self.shared["partitions"])])
        return [(self.folder / "output" / f"{i}.json").read_bytes() for i in range(self.shared["partitions"])]

    def _run_all(self, documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(self.slots) as slots:
            results = list(slots.map(lambda document: run_task(self.folder, document, python=self.python), documents))
        for result in results:
            if not result["done"]:
                raise JobFailed(result)
        return results
