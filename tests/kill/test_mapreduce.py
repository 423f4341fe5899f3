"""A MapReduce job under SIGKILL: its output is that of an undisturbed one, and no half of it is ever seen."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.deployment import Deployment, Factory
from tests.jobs.mapreduce.worker import programs
from tests.jobs.test_mapreduce_end_to_end import Client
from tests.kill.anatomy import PULSE, WORK, Anatomy, wait_for
from tests.kill.chaos import SETTINGS

SPLITS: Final = 40
SECONDS: Final = 180
PAUSE: Final = (0.2, 0.8)
VICTIMS: Final = {"task": 7, "runner": 3, PULSE: 2, WORK: 2, "supervisor": 1}


class Disturbance:
    """Kills something of a deployment now and then, and looks at what a job has put out."""

    def __init__(self, place: Deployment, anatomy: Anatomy, output: Path, wanted: dict[str, bytes], seed: int) -> None:
        self.killed: Counter[str] = Counter()
        self.faults: list[str] = []
        self._place, self._anatomy, self._output, self._wanted = place, anatomy, output, wanted
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._kill), threading.Thread(target=self._look)]

    def __enter__(self) -> Disturbance:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _kill(self) -> None:
        deck = [kind for kind, count in VICTIMS.items() for _ in range(count)]
        while deck and not self._over.wait(self._random.uniform(*PAUSE)):
            kind = self._random.choice(deck)
            victim = self._find(kind)
            if victim is None:  # not there just now
                continue
            deck.remove(kind)
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.killed[kind] += 1
            if kind == "supervisor":
                victim.wait(20)
                self._anatomy.start_work()

    def _find(self, kind: str) -> psutil.Process | None:
        if kind == "supervisor":
            return self._anatomy.supervisor()
        if kind == "runner":
            return self._anatomy.runner()
        found = self._anatomy.workers(kind) if kind != "task" else [p for p in self._place.processes() if _is_task(p)]
        return self._random.choice(found) if found else None

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for path in self._output.glob("*/*.tsv"):
                with suppress(FileNotFoundError):
                    if path.read_bytes() != self._wanted[path.name]:
                        self.faults.append(f"{path.name} was seen half written")


def _is_task(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(word.endswith("mapreduce/worker") for word in process.cmdline())
    return False


@pytest.mark.runs_once("postgresql", "what is killed here are tasks and the runner; the ordeal runs on both")
def test_its_output_is_that_of_an_undisturbed_one(deployment: Factory) -> None:
    place = deployment(**SETTINGS)
    folder = place.folder / "texts"
    folder.mkdir()
    place.env["MAPREDUCE_FOLDERS"] = str(folder)
    words = random.Random(1).choices([f"word{n}" for n in range(500)], k=20_000)
    text = "\n".join(" ".join(words[i : i + 10]) for i in range(0, len(words), 10)).encode()
    (folder / "in.txt").write_bytes(text)
    place.start_web()
    anatomy = Anatomy(place)
    anatomy.start_work()
    client = Client(place)
    wish: dict[str, Any] = {
        "mapper": client.script("words.py", programs.MAPPER), "reducer": client.script("sum.py", programs.REDUCER),
        "input": f"file://{folder}/in.txt", "reducers": 3,
    }  # fmt: skip
    calm = client.submit(**wish, split_bytes=len(text) // 4, output=f"file://{folder}/calm")["uuid"]
    wait_for(lambda: client.call("GET", f"/v6/jobs/{calm}/")["ended"], SECONDS, "that the undisturbed job ends")
    wanted = {path.name: path.read_bytes() for path in (folder / "calm" / calm).iterdir()}
    assert len(wanted) == 3
    seed = random.SystemRandom().randrange(10**6)
    body = {"mapreduce": {**wish, "split_bytes": len(text) // SPLITS, "output": f"file://{folder}/disturbed"}}
    job = client.call("POST", "/v6/jobs/", {**body, "customer": "acme", "max_tries": 60})["uuid"]
    began = time.monotonic()
    with Disturbance(place, anatomy, folder / "disturbed", wanted, seed) as disturbance:
        wait_for(lambda: client.call("GET", f"/v6/jobs/{job}/")["ended"], SECONDS, f"that job ends (seed {seed})")
    print(f"seed {seed}: {dict(disturbance.killed)} killed in {time.monotonic() - began:.1f} s")
    found = client.call("GET", f"/v6/jobs/{job}/")
    assert found["status"] == "COMPLETED", f"seed {seed}: {found['mapreduce']}\n{place.logs()}"
    assert disturbance.faults == []
    assert {path.name: path.read_bytes() for path in (folder / "disturbed" / job).iterdir()} == wanted
    assert {"task", "runner"} <= set(disturbance.killed), disturbance.killed
    assert found["mapreduce"]["map"]["tasks"] >= SPLITS
