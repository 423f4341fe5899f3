"""MapReduce jobs through a whole deployment, from POST to the output in its folder; PySpark beside them."""

from __future__ import annotations

import json
import os
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import psutil

from tests import needs
from tests.bench import spark
from tests.bench.line import Line
from tests.bench.mapreduce import MIB, Words
from tests.bench.rig import Rig
from tests.jobs.mapreduce.worker import programs

SMALL_ROUNDS: Final = 10
MOST_SECONDS: Final = 300
SHEBANG: Final = "#!/usr/bin/env python3"
MIB_OF_OURS: Final = 1024.0 * 1024


class _Client:
    def __init__(self, rig: Rig) -> None:
        self._base = rig.deployment.start_web()
        self._headers = {"Authorization": f"Bearer {rig.token}"}

    def call(self, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(self._base + path, body, {**self._headers, "Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def program(self, name: str, code: str) -> dict[str, str]:
        text = f"{SHEBANG}\n{code.strip()}\n".encode()
        self.call(f"/v6/artifacts/?name={name}&protocol=streaming", text, "application/octet-stream")
        return {"name": name}

    def run(self, folder: Path, **wish: Any) -> tuple[float, Any]:
        """Seconds from POST to the last object in the folder, and the job."""
        body = {"mapreduce": {**wish, "output": f"file://{folder}/out"}, "customer": "bench"}
        began = time.perf_counter()
        job = self.call("/v6/jobs/", json.dumps(body).encode())
        target = folder / "out" / job["uuid"]
        wanted = wish.get("reducers", 1)
        while sum(1 for each in target.glob("*.tsv")) < wanted:
            assert time.perf_counter() - began < MOST_SECONDS, self.call(f"/v6/jobs/{job['id']}/")
            time.sleep(0.002)
        took = time.perf_counter() - began
        while not (job := self.call(f"/v6/jobs/{job['id']}/"))["ended"]:
            time.sleep(0.01)
        assert job["status"] == "COMPLETED", job["mapreduce"]
        return took, job


def jobs(url: str) -> list[Line]:
    """The fixed cost of a job, and the speed of a large one beside the limit and PySpark."""
    if missing := needs.missing("compiler"):
        print(f"NOT MEASURED: MapReduce jobs, {missing}")
        return []
    if why := spark.missing():  # now: an installation would disturb what is measured later
        print(f"NOT MEASURED: PySpark's word count (wants Java 17 or newer), {why}")
    rig = Rig()
    folder = rig.deployment.folder / "texts"
    folder.mkdir()
    rig.deployment.env["MAPREDUCE_FOLDERS"] = str(folder)
    try:
        client = _Client(rig)
        roots = rig.start_work()
        (folder / "small.txt").write_bytes(b"one small text\n")
        mapper = client.program("mapper.py", programs.COMBINING_MAPPER)
        reducer = client.program("reducer.py", programs.REDUCER)
        small = {"mapper": mapper, "reducer": reducer, "input": f"file://{folder}/small.txt"}
        taken = [client.run(folder, **small)[0] * 1000 for _ in range(SMALL_ROUNDS)]
        lines = [
            Line("MapReduce job of one small split, POST to output, p50 ms", statistics.median(taken[1:]), 600, 400, "")
        ]
        return lines + _large(client, folder, mapper, reducer, roots)
    finally:
        rig.stop()


def _large(client: _Client, folder: Path, mapper: Any, reducer: Any, roots: list[int]) -> list[Line]:
    words, lines, most = Words(folder), [], 0.0
    for mib in (256, 1024):
        text = words.text(mib)
        limit, wanted = words.limit(text)
        wish = {"mapper": mapper, "reducer": reducer, "input": f"file://{text}", "reducers": 2, "split_bytes": 64 * MIB}
        took, job = client.run(folder, **wish)
        found = b"".join(path.read_bytes() for path in (folder / "out" / job["uuid"]).glob("*.tsv"))
        assert sorted(found.splitlines()) == sorted(wanted.splitlines()), "wrong counts"
        most = max(most, *(_resident(pid) for pid in roots))
        note = f"{text.stat().st_size / 1e6 / took:.1f} MB/s; load {os.getloadavg()[0]:.1f}"
        lines.append(
            Line(f"MapReduce job, combining mapper, {mib} MiB: speed over C x2", limit / took, 0.14, 0.18, note, True)
        )
        if not spark.missing():
            lines.append(_peer(text, mib, limit, wanted, took))
    lines.append(Line("the largest of our processes after that, MiB resident", most, 200, 150, ""))
    return lines


def _peer(text: Path, mib: int, limit: float, wanted: bytes, ours: float) -> Line:
    """PySpark on the same text, beside the same limit."""
    took, found = spark.count(text)
    assert sorted(found.splitlines()) == sorted(wanted.splitlines()), "wrong counts of PySpark"
    note = f"{text.stat().st_size / 1e6 / took:.1f} MB/s, with its start; ours is {took / ours:.1f} times as fast"
    what = f"the same by PySpark {spark.VERSION}, DataFrame, {mib} MiB: speed over C x2"
    return Line(what, limit / took, None, None, note, True)


def _resident(root: int) -> float:
    """The largest of a process and all that it has started."""
    process = psutil.Process(root)
    return max(each.memory_info().rss / MIB_OF_OURS for each in (process, *process.children(recursive=True)))
