"""The MapReduce part of `make demo`: the words of Python's standard library, counted by two small programs.

They are in deploy/mapreduce, and speak as programs for Hadoop Streaming do.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

from native_tour import Caller, Check

PROGRAMS: Final = Path(__file__).resolve().parent / "mapreduce"
WORD: Final = re.compile(rb"[A-Za-z_]\w*")
SPLIT: Final = 4 * 2**20
LEFT_OUT: Final = ("site-packages", "dist-packages", "test")


def walk(client: Caller, library: Path, folder: Path, check: Check) -> None:
    """Count the words of all sources of `library`. `folder` is open to MapReduce jobs."""
    print("\nA MapReduce job:")
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "sources.txt"
    with text.open("wb") as joined:
        for path in sorted(library.rglob("*.py")):
            if path.relative_to(library).parts[0] not in LEFT_OUT:
                joined.write(path.read_bytes())
    for name in ("words.py", "sum.py"):
        made = _upload(client, name)
        print(f"  POST /v6/artifacts/: {made['name']}, version {made['version']}, {made['size']} bytes")
    begun = time.monotonic()
    wish = {"mapper": {"name": "words.py"}, "reducer": {"name": "sum.py"}, "reducers": 2, "split_bytes": SPLIT}
    where = {"input": f"file://{text}", "output": f"file://{folder}/counts"}
    job = client.call("POST", "/v6/jobs/", {"mapreduce": {**wish, **where}, "customer": "demo"})
    job = _ended(client, job["id"], check)
    took = time.monotonic() - begun
    done = job["mapreduce"]
    check(job["status"] == "COMPLETED", f"the MapReduce job ended as {job['status']}: {done['failure']}")
    found = _counts(done["outputs"])
    check(found == _plain_count(text), "the counts are not those of a plain count")
    tasks = f"{done['map']['completed']} map and {done['reduce']['completed']} reduce tasks"
    size = text.stat().st_size
    print(f"  job {job['id']}: {tasks}, {size / 1e6:.1f} MB in {took:.1f} s, {size / 1e6 / took:.1f} MB/s")
    print(f"  {len(found)} words, as a plain count has them, in {done['outputs'][0]} and the next; the most frequent:")
    for word, count in found.most_common(3):
        print(f"    {count:8} {word.decode()}")


def _upload(client: Caller, name: str) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own server, on loopback
        f"{client.base}/v6/artifacts/?name={name}&protocol=streaming",
        data=(PROGRAMS / name).read_bytes(),
        headers={**client.headers, "Content-Type": "application/octet-stream"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def _ended(client: Caller, job_id: int, check: Check) -> Any:
    deadline = time.monotonic() + 60
    while not (job := client.call("GET", f"/v6/jobs/{job_id}/"))["ended"]:
        check(time.monotonic() < deadline, f"job {job_id} is still {job['status']}: {job['mapreduce']}")
        time.sleep(0.05)
    return job


def _counts(outputs: list[str]) -> Counter[bytes]:
    lines = (line for each in outputs for line in Path(each.removeprefix("file://")).read_bytes().splitlines())
    return Counter({word: int(count) for word, count in (line.split(b"\t") for line in lines)})


def _plain_count(text: Path) -> Counter[bytes]:
    return Counter(WORD.findall(text.read_bytes()))
