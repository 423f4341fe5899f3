"""An ordeal of a MapReduce job: what works for it is killed at random moments, and its output watched all the time.

The same words are counted twice: by a job that nobody disturbs, in four splits, and by one of many. Every object of the
second that is ever seen must be that of the first, byte for byte. As in chaos.py, the moments and victims come from the
seed that the report names, and nothing is killed by name.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.deployment import Deployment
from tests.jobs.mapreduce.worker import programs
from tests.jobs.test_mapreduce_end_to_end import Client
from tests.kill.anatomy import PULSE, WORK, Anatomy, wait_for

REDUCERS: Final = 3
CALM_SPLITS: Final = 4
WORDS_OF_A_SPLIT: Final = 500
VOCABULARY: Final = 500
PAUSE: Final = (0.1, 0.6)  # seconds from kill to kill
AGAIN: Final = 0.02  # seconds, to look for a victim again: a task lives a tenth of a second
MUST: Final = ("task", "runner")  # without these the ordeal is none
# How often each is in the deck from which victims are drawn, and for how many splits there is one deck.
VICTIMS: Final = {"task": 7, "runner": 3, PULSE: 2, WORK: 2, "supervisor": 1}
SPLITS_OF_A_DECK: Final = 40
MOST_SECONDS_OF_A_SPLIT: Final = 4.5


@dataclass
class Report:
    """What an ordeal came to. `seconds`: the disturbed job, from its submission to its end."""

    seed: int
    database: str
    splits: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"MapReduce job of {self.splits} splits on {self.database}, seed {self.seed}: {self.seconds:.1f} s,"
                f" {sum(self.kills.values())} kills, its output looked at {self.looks} times",
                f"  killed: {', '.join(f'{kind} {count}' for kind, count in sorted(self.kills.items()))}",
                f"  executions: {dict(self.executions)}",
                *(f"  FAULT: {fault}" for fault in self.faults),
            ]
        )


class Disturbance:
    """Kills something of a deployment now and then, and looks at what a job has put out below `output`."""

    def __init__(self, anatomy: Anatomy, output: Path, wanted: dict[str, bytes], report: Report) -> None:
        self._anatomy, self._output, self._wanted, self._report = anatomy, output, wanted, report
        self._random = random.Random(report.seed)
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
        decks = max(1, self._report.splits // SPLITS_OF_A_DECK)
        deck = [kind for kind, count in VICTIMS.items() for _ in range(count * decks)]
        while deck and not self._over.wait(self._random.uniform(*PAUSE)):
            # What must be killed comes first: a job on a quick machine is soon over.
            kind = self._random.choice([each for each in MUST if each not in self._report.kills] or deck)
            victim = self._find(kind)
            while victim is None and not self._over.wait(AGAIN):  # not there just now
                victim = self._find(kind)
            if victim is None:
                return
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self._report.kills[kind] += 1
                deck.remove(kind)
            if kind == "supervisor":
                victim.wait(20)
                self._anatomy.start_work()

    def _find(self, kind: str) -> psutil.Process | None:
        if kind == "supervisor":
            return self._anatomy.supervisor()
        if kind == "runner":
            return self._anatomy.runner()
        if kind == "task":
            found = [process for process in self._anatomy.place.processes() if _is_task(process)]
        else:
            found = self._anatomy.workers(kind)
        return self._random.choice(found) if found else None

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self._report.looks += 1
            for path in self._output.glob("*/[!.]*"):
                with suppress(FileNotFoundError):
                    fault = f"{path.name} was seen, and is not what it should be"
                    if path.read_bytes() != self._wanted.get(path.name) and fault not in self._report.faults:
                        self._report.faults.append(fault)


def _is_task(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(word.endswith("mapreduce/worker") for word in process.cmdline())
    return False


class Ordeal:
    """One run, in a deployment of which nothing has been started yet."""

    def __init__(self, place: Deployment, *, splits: int, seed: int) -> None:
        self.report = Report(seed, place.database, splits)
        self._place, self._splits = place, splits
        self._anatomy = Anatomy(place)
        self._folder = place.folder / "texts"
        self._most_seconds = splits * MOST_SECONDS_OF_A_SPLIT
        self._wish: dict[str, Any] = {"reducers": REDUCERS, "input": f"file://{self._folder}/in.txt"}

    def run(self) -> Report:
        """Count undisturbed, count disturbed, compare; what went wrong is among the report's faults."""
        text = self._write_text()
        self._place.env["MAPREDUCE_FOLDERS"] = str(self._folder)
        self._place.bootstrap("root")
        self._place.start_web()
        self._anatomy.start_work()
        client = Client(self._place)
        self._wish["mapper"] = client.script("words.py", programs.MAPPER)
        self._wish["reducer"] = client.script("sum.py", programs.REDUCER)
        try:
            calm = self._submit(client, "calm", len(text) // CALM_SPLITS)
            self._wait(client, calm)
            wanted = self._objects("calm", calm)
            assert len(wanted) == REDUCERS, wanted.keys()
            began = time.monotonic()
            job = self._submit(client, "disturbed", len(text) // self._splits)
            with Disturbance(self._anatomy, self._folder / "disturbed", wanted, self.report):
                self._wait(client, job)
            self.report.seconds = time.monotonic() - began
            self.report.faults += self._judge(client, job, wanted)
        except AssertionError as fault:
            self.report.faults.append(str(fault))
        rows = self._place.rows("SELECT status FROM jobs_execution")
        self.report.executions = Counter(status for (status,) in rows)
        return self.report

    def _write_text(self) -> bytes:
        names = [f"word{number}" for number in range(VOCABULARY)]
        words = random.Random(1).choices(names, k=WORDS_OF_A_SPLIT * self._splits)
        text = "\n".join(" ".join(words[i : i + 10]) for i in range(0, len(words), 10)).encode()
        self._folder.mkdir()
        (self._folder / "in.txt").write_bytes(text)
        return text

    def _submit(self, client: Client, output: str, split_bytes: int) -> str:
        wish = {**self._wish, "split_bytes": split_bytes, "output": f"file://{self._folder}/{output}"}
        # A killed runner costs a try of all that it ran, and no task may fail of that here.
        body = {"mapreduce": wish, "customer": "acme", "max_tries": 60}
        return str(client.call("POST", "/v6/jobs/", body)["uuid"])

    def _wait(self, client: Client, job: str) -> None:
        def ended() -> object:
            return client.call("GET", f"/v6/jobs/{job}/")["ended"]

        wait_for(ended, self._most_seconds, f"that job {job} ends")

    def _objects(self, output: str, job: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self._folder / output / job).iterdir()}

    def _judge(self, client: Client, job: str, wanted: dict[str, bytes]) -> list[str]:
        found = client.call("GET", f"/v6/jobs/{job}/")
        if found["status"] != "COMPLETED":
            return [f"the job is {found['status']}: {found['mapreduce']}"]
        faults = []
        if self._objects("disturbed", job) != wanted:
            faults.append("the output is another than that of the undisturbed job")
        if found["mapreduce"]["map"]["tasks"] < self._splits:
            faults.append(f"it had {found['mapreduce']['map']['tasks']} map tasks only")
        if unharmed := set(MUST) - set(self.report.kills):
            faults.append(f"it was not disturbed: nothing was killed of {sorted(unharmed)}")
        return faults
