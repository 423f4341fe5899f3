"""An ordeal: jobs are submitted over HTTP while every process of a deployment is killed at random moments.

What is judged are the lines that the commands themselves append to one file (O_APPEND, so whole and in
order), and the tables are held against them. A command knows its execution only by where it runs: its
current directory is `…/executions/<xx>/<execution id>/work`. Inside bubblewrap that is called /work for
all of them, and the file would not be there: so the ordeal runs unisolated (LOCAL_ISOLATION=0, allowed
by LOCAL_UNISOLATED=1), which changes nothing in the engine.

The moments and victims come from the seed that the report names. Nothing is killed by name: see anatomy.py.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from tests.deployment import Deployment
from tests.factories import manifest_of
from tests.kill.anatomy import PULSE, WORK, Anatomy, command_of, wait_for

SETTINGS: Final = {
    "LOCAL_ISOLATION": "0",
    "LOCAL_UNISOLATED": "1",
    "LOCAL_VCPUS": "3",  # six jobs at once
    "LOCAL_MEMORY_MIB": "65536",
    "DEFAULT_MAX_TRIES": "60",  # a killed runner costs a try, and no job may fail of that here
    "RETRY_BACKOFF_SECONDS": "0",
}
STANDSTILL_SECONDS: Final = 10.0  # or, on a slower machine, STANDSTILL_STARTS
UP_SECONDS: Final = 60.0
# What a start of the workers takes, until the first look at the place, where the pace below is right.
USUAL_START_SECONDS: Final = 4.0
PACE_SECONDS: Final = (0.1, 1.0)  # from kill to kill, times so much longer as a start takes
END_SECONDS: Final = 120.0  # for the last job, after the last submit; a standstill is found long before
GONE_SECONDS: Final = 30.0
CLIENTS: Final = 4
# At most so many kills of what serves a queue between two signs of its progress: more, and it is the killer
# that holds it up. Two, so that what is just starting is killed too.
KILLS_WITHOUT_PROGRESS: Final = 2
# Each of them may come when the start that the last one caused is almost through: so many starts, one after another.
# How long one takes is measured before there are jobs and victims.
STANDSTILL_STARTS: Final = KILLS_WITHOUT_PROGRESS
FINAL: Final = ("COMPLETED", "FAILED", "CANCELED", "REJECTED")

# How often each is in the deck from which victims are drawn.
VICTIMS: Final = {
    "web worker": 2,
    "web master": 1,
    "supervisor": 2,
    "runner": 3,
    "pulse main": 1,
    "pulse sentinel": 1,
    "pulse worker (busy)": 5,
    "pulse monitor": 1,
    "pulse pusher": 1,
    "work main": 1,
    "work sentinel": 1,
    "work worker (idle)": 2,
    "work monitor": 1,
    "work pusher": 1,
}

DECK: Final = [kind for kind, count in VICTIMS.items() for _ in range(count)]
QUEUES: Final = ("jobs", WORK)


def _served_by(kind: str) -> set[str]:
    """The queues that stand while another one takes the place of this victim."""
    if kind == "supervisor":
        return set(QUEUES)
    return {WORK} if kind.startswith(WORK) else {"jobs"}


# --- What commands write -------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """`start <job's number> <execution id>`, or `end …`."""

    mark: str
    number: int
    execution: str


def command(lines: Path, number: int, seconds: float) -> list[str]:
    """A command that says that it starts, sleeps, and says that it ends."""
    script = 'echo "start $1 $PWD" >> "$0"; /bin/sleep "$2"; echo "end $1 $PWD" >> "$0"'
    return ["/bin/sh", "-c", script, str(lines), str(number), f"{seconds:.3f}"]


def read_lines(path: Path) -> list[Line]:
    found = []
    for text in path.read_text().splitlines():
        mark, number, folder = text.split(" ")[:3]
        found.append(Line(mark, int(number), Path(folder).parent.name))
    return found


def most_at_once(lines: list[Line]) -> int:
    """How many commands ran at once, by the order of their own lines."""
    most = now = 0
    for line in lines:
        now += 1 if line.mark == "start" else -1
        most = max(most, now)
    return most


# --- Submitting ----------------------------------------------------------------------------------


class Client:
    """A Mapsor client that asks again, with the same key, until it has an answer."""

    def __init__(self, base_url: str, token: str) -> None:
        self._address = base_url.removeprefix("http://")
        self._token = token
        self.answers: Counter[str] = Counter()

    def submit(self, body: dict[str, Any], key: str, give_up: Callable[[], bool] = lambda: False) -> str:
        """The uuid of the job; empty when told to give up."""
        while not give_up():
            with suppress(OSError, http.client.HTTPException):
                status, answer = self._post(body, key)
                self.answers[str(status)] += 1
                if status in (200, 201):
                    return str(answer.get("job_id") or answer["uuid"])
                assert status in (409, 500, 503), f"{status}: {answer}"
            self.answers["asked again"] += 1
            time.sleep(0.1)
        return ""

    def _post(self, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self._address, timeout=15)
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            path = "/v6/jobs/" if is_seed(body) else "/submit"
            connection.request("POST", path, json.dumps(body), headers | {"Idempotency-Key": key})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()


def body_of(number: int, argv: list[str]) -> dict[str, Any]:
    return {
        "customer": "acme",
        "cloud": "local",
        "region": "local",
        "id": f"job-{number}",
        "image": "none",
        "command": argv,
    }


# --- Seed jobs -----------------------------------------------------------------------------------

TEXT: Final = b"what goes in comes out\n"
SEED_EVERY: Final = 3  # each third job is one
_SEED_COMMAND: Final = (
    'sh -c \'echo "start $NUMBER $PWD" >> "$LINES"; /bin/sleep "$SECONDS"; cp "$TEXT" "$OUTPUT_DIR/copy.txt"; '
    'echo "end $NUMBER $PWD" >> "$LINES"\''
)


def is_seed(body: dict[str, Any]) -> bool:
    return "job_type_id" in body


class Seeds:
    """A job type whose jobs copy a text and say so in `lines`, and the text, in a workspace of the deployment."""

    def __init__(self, base_url: str, token: str, lines: Path, folder: Path) -> None:
        self._address = base_url.removeprefix("http://")
        self._headers = {"Authorization": f"Bearer {token}"}
        broker = {"type": "host", "host_path": str(folder)}
        self._post("/v6/workspaces/", {"name": "texts", "title": "Texts", "configuration": {"broker": broker}})
        kinds = (("NUMBER", "integer"), ("SECONDS", "number"))
        inputs = {"files": [{"name": "TEXT"}], "json": [{"name": name, "type": kind} for name, kind in kinds]}
        outputs = {"files": [{"name": "COPY", "pattern": "copy.txt"}]}
        manifest = manifest_of(command=_SEED_COMMAND, inputs=inputs, outputs=outputs, settings=[{"name": "LINES"}])
        configuration = {"output_workspaces": {"default": "texts"}, "settings": {"LINES": str(lines)}}
        wish = {"docker_image": "none", "manifest": manifest, "configuration": configuration}
        self._job_type_id = self._post("/v6/job-types/", wish)["id"]
        self._file_id = self._post("/v6/files/upload/?workspace=texts&path=in.txt", TEXT)["id"]

    def body_of(self, number: int, seconds: float) -> dict[str, Any]:
        values = {"NUMBER": number, "SECONDS": round(seconds, 3)}
        given = {"files": {"TEXT": [self._file_id]}, "json": values}
        tries = int(SETTINGS["DEFAULT_MAX_TRIES"])
        wish = {"job_type_id": self._job_type_id, "input": given, "max_tries": tries}
        return {**wish, "customer": "acme", "classification": f"job-{number}"}

    def _post(self, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(self._address, timeout=15)
        try:
            raw = isinstance(body, bytes)
            headers = self._headers | {"Content-Type": "text/plain" if raw else "application/json"}
            connection.request("POST", path, body if raw else json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 201, answer
            return json.loads(answer)
        finally:
            connection.close()


def output_faults(place: Deployment, folder: Path) -> Iterator[str]:
    """What is wrong with what Seed jobs have put out: one file of each, whole, and nothing else."""
    kept: dict[int, list[str]] = {row[0]: [] for row in place.rows("SELECT id FROM jobs_job WHERE shape = 'seed'")}
    rows = place.rows("SELECT job_id, path, sha256 FROM jobs_file WHERE job_id IS NOT NULL AND deleted_at IS NULL")
    for job_id, path, sha256 in rows:
        kept[job_id].append(path)
        there = (folder / path).read_bytes() if (folder / path).is_file() else None
        if there != TEXT or sha256 != hashlib.sha256(TEXT).hexdigest():
            yield f"{path} of job {job_id}, {sha256}, holds {there!r}"
    yield from (f"job {job_id} has put out {paths}" for job_id, paths in kept.items() if len(paths) != 1)
    staging = place.data_dir / "local" / "local" / "staging"
    if left := sorted(each.name for each in staging.iterdir()) if staging.is_dir() else []:
        yield f"folders of executions that were left behind: {left}"


# --- Standing still ------------------------------------------------------------------------------


class Stopwatch:
    """The longest time without progress while there was something to do, in time that counts."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.now = 0.0
        self._seen: object = None

    def look(self, seconds: float, waiting: bool, seen: object) -> None:
        """`seconds` have passed since the last look, which count; `seen` differs when there was progress."""
        self.now = self.now + seconds if waiting and seen == self._seen else 0.0
        self.longest = max(self.longest, self.now)
        self._seen = seen


@dataclass
class Report:
    """What an ordeal came to."""

    seed: int
    database: str
    jobs: int
    seconds: float = 0.0
    start_seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    longest_standstill: float = 0.0
    longest_standstill_of_work: float = 0.0
    moments: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def allowed_standstill(self) -> float:
        return max(STANDSTILL_SECONDS, STANDSTILL_STARTS * self.start_seconds)

    def timeline(self) -> str:
        """When what was killed, and when the queues stood still, by the clock of the logs."""
        return "\n".join(self.moments)

    def note(self, what: str) -> None:
        self.moments.append(f"{datetime.now().isoformat(' ', 'milliseconds')} {what}")

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.jobs} jobs on {self.database}, seed {self.seed}: {self.seconds:.1f} s,"
                f" {sum(self.kills.values())} kills, {self.starts} commands started",
                f"  killed: {', '.join(f'{kind} {count}' for kind, count in sorted(self.kills.items()))}",
                f"  executions: {dict(self.executions)}; answers of the web: {dict(self.answers)}",
                f"  longest standstill: jobs {self.longest_standstill:.2f} s,"
                f" queue work {self.longest_standstill_of_work:.2f} s; allowed {self.allowed_standstill:.1f} s,"
                f" a start took {self.start_seconds:.1f} s",
                *(f"  FAULT: {fault}" for fault in self.faults),
            ]
        )


class Ordeal:
    """One run. `seconds`: over how long the jobs are submitted; `longest_seconds`: of a job; `with_seeds`: each
    third is a Seed job."""

    def __init__(
        self,
        place: Deployment,
        *,
        jobs: int,
        seconds: float,
        seed: int,
        longest_seconds: float = 0.5,
        with_seeds: bool = False,
    ) -> None:
        self._with_seeds = with_seeds
        self.place = place
        self.anatomy = Anatomy(place)
        self.lines = place.folder / "lines"
        self._texts = place.data_dir / "workspaces" / "texts"
        self._seeds: Seeds | None = None
        self.report = Report(seed, place.database, jobs)
        self._seconds = seconds
        self._random = random.Random(seed)
        self._naps = [self._random.uniform(0.02, longest_seconds) for _ in range(jobs)]
        self._ids: dict[int, str] = {}
        self._over = threading.Event()
        self._dealt = 0  # cards of the first deck
        self._slower = 1.0
        self._supervised = True
        self._progress: Counter[str] = Counter()

    def run(self) -> Report:
        began = time.monotonic()
        print(f"ordeal on {self.place.database}: seed {self.report.seed}", flush=True)
        self.lines.touch()
        token = self.place.bootstrap("root")
        starting = time.monotonic()
        self.anatomy.start_work()
        url = self.place.start_web(WEB_WORKERS="2")
        wait_for(self._is_looked_after, UP_SECONDS, "that the place is looked after")
        self.report.start_seconds = time.monotonic() - starting
        self._slower = max(1.0, self.report.start_seconds / USUAL_START_SECONDS)
        self._trouble(lambda: self._live(url, token))
        self._trouble(self._stop)
        self._trouble(self._judge)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _is_looked_after(self) -> bool:
        return bool(self.place.rows("SELECT 1 FROM jobs_place WHERE seen_at IS NOT NULL"))

    def _trouble(self, part: Callable[[], None]) -> None:
        try:
            part()
        except AssertionError as fault:
            self.report.faults.append(str(fault))

    def _live(self, url: str, token: str) -> None:
        """Submit, kill and watch, until every job has ended or too much time has passed."""
        if self._with_seeds:
            self._seeds = Seeds(url, token, self.lines, self._texts)
        clients = [Client(url, token) for _ in range(CLIENTS)]
        threads = [threading.Thread(target=self._submit, args=(n, client)) for n, client in enumerate(clients)]
        threads += [threading.Thread(target=self._kill, args=(int(url.rpartition(":")[2]),))]
        threads += [threading.Thread(target=self._watch)]
        for thread in threads:
            thread.start()
        try:
            self._over.wait(self._slower * (self._seconds + max(END_SECONDS, self._seconds)))
        finally:  # also when the run is broken off
            self._over.set()
        for thread in threads:
            thread.join()
        for client in clients:
            self.report.answers += client.answers

    # Each in a thread of its own

    def _submit(self, client_number: int, client: Client) -> None:
        dice = random.Random(f"{self.report.seed} {client_number}")
        for number in range(client_number, self.report.jobs, CLIENTS):
            while not self._may_come(number) and not self._over.wait(0.05):
                pass
            nap = self._slower * self._naps[number]
            plain = body_of(number, command(self.lines, number, nap))
            body = plain if self._seeds is None or number % SEED_EVERY else self._seeds.body_of(number, nap)
            key = f"{self.report.seed}-{number}"
            self._ids[number] = client.submit(body, key, self._over.is_set)
            if dice.random() < 0.1 and (again := client.submit(body, key, self._over.is_set)) != self._ids[number]:
                self.report.faults.append(f"job {number}: the same key twice gave {self._ids[number]} and {again}")
            self._over.wait(dice.uniform(0, 2) * self._seconds * CLIENTS / self.report.jobs)

    def _may_come(self, number: int) -> bool:
        """The first deck is dealt while there are jobs: each card lets some more come, the last one the last ones."""
        return number * (len(DECK) + 1) < self.report.jobs * (self._dealt + 1)

    def _kill(self, port: int) -> None:
        deck: list[str] = []
        since: Counter[str] = Counter()  # kills since the last progress, by queue
        before = self._progress.copy()
        while not self._over.wait(self._slower * self._random.uniform(*PACE_SECONDS)):
            for queue in QUEUES:
                if self._progress[queue] != before[queue]:
                    before[queue], since[queue] = self._progress[queue], 0
            if not deck:
                deck = self._random.sample(DECK, len(DECK))
            allowed = (
                kind for kind in deck if all(since[queue] < KILLS_WITHOUT_PROGRESS for queue in _served_by(kind))
            )
            kind = next(allowed, "")
            victim = self._find(kind) if kind else None
            if victim is None:  # not there just now
                continue
            deck.remove(kind)
            self._supervised = kind != "supervisor"
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.report.kills[kind] += 1
                self.report.note(f"killed {kind}, {victim.pid}")
                since.update(_served_by(kind))
            self._dealt = min(self._dealt + 1, len(DECK))
            if kind == "supervisor":
                victim.wait(20)
                self._over.wait(self._random.uniform(0, 1))
                self.anatomy.start_work()
                self._supervised = True
            elif kind == "web master":
                self.place.start_web(port, WEB_WORKERS="2")

    def _find(self, kind: str) -> psutil.Process | None:
        whose, _, part = kind.partition(" ")
        if kind == "supervisor":
            return self.anatomy.supervisor()
        if kind == "runner":
            return self.anatomy.runner()
        if kind == "web master":
            return self.anatomy.web_master()
        if kind == "web worker":
            return self._one_of(self.anatomy.web_workers())
        cluster = {"pulse": PULSE, "work": WORK}[whose]
        if part == "main":
            return self.anatomy.main(cluster)
        if part == "sentinel":
            return self.anatomy.sentinel(cluster)
        parts = self.anatomy.parts(cluster)
        if part == "monitor":
            return parts[-2] if parts else None
        if part == "pusher":
            return parts[-1] if parts else None
        return self._one_of(parts[:-2])

    def _one_of(self, processes: list[psutil.Process]) -> psutil.Process | None:
        return self._random.choice(processes) if processes else None

    def _watch(self) -> None:
        """Progress of jobs: a command starts or ends, or a job's end is recorded. Of `work`: a task is taken."""
        jobs, work = Stopwatch(), Stopwatch()
        last = time.monotonic()
        before: set[int] = set()
        taken, told = 0, 0.0
        while not self._over.wait(0.1):
            submitted, ended, queued = self._counts()
            now = time.monotonic()
            counted = now - last if self._supervised else 0.0
            last = now
            stands = max(jobs.now, work.now)
            told = min(told, stands)
            if stands > max(2.0, told + 1):
                told = stands
                self.report.note(f"stands still: jobs {jobs.now:.1f} s, work {work.now:.1f} s")
            jobs.look(counted, submitted > ended, (self.lines.stat().st_size, ended))
            # Commands that run go on by themselves: that an end is recorded shows that all of the engine is there.
            self._progress["jobs"] = ended
            taken += len(before - queued)
            before = queued
            work.look(counted, bool(queued), taken)
            # Most are taken between two looks: then the sign of life of the tasks themselves tells.
            self._progress[WORK] = taken + self._sign_of_life()
            if ended == self.report.jobs:
                self._over.set()
        self.report.longest_standstill = jobs.longest
        self.report.longest_standstill_of_work = work.longest

    def _sign_of_life(self) -> int:
        with suppress(FileNotFoundError):
            return (self.place.data_dir / "run" / "local" / "work.beat").stat().st_mtime_ns
        return 0

    def _counts(self) -> tuple[int, int, set[int]]:
        """Jobs submitted; jobs ended; the tasks of queue `work` that nobody has taken."""
        final = ", ".join(f"'{status}'" for status in FINAL)
        (submitted, ended) = self.place.rows(
            f"SELECT count(*), coalesce(sum(CASE WHEN status IN ({final}) THEN 1 ELSE 0 END), 0) FROM jobs_job"
        )[0]
        now = datetime.now(UTC)
        parameter = now.replace(tzinfo=None).isoformat(" ") if self.place.database == "sqlite" else now
        rows = self.place.rows("SELECT id FROM django_q_ormq WHERE key = %s AND lock <= %s", [WORK, parameter])
        return int(submitted), int(ended), {row[0] for row in rows}

    # Afterwards

    def _stop(self) -> None:
        """Ask everything to stop, and see that nothing stays."""
        for process in (self.anatomy.supervisor(), self.anatomy.web_master()):
            if process is not None:
                process.terminate()
        try:
            wait_for(lambda: not self.anatomy.living(), GONE_SECONDS, "that nothing is left running")
        except AssertionError as error:
            left = {process: command_of(process) for process in self.anatomy.living()}
            for process in left:
                process.kill()
            raise AssertionError(f"{error}; left: {list(left.values())}") from None

    def _judge(self) -> None:
        self.report.faults += faults(self.place, self._ids, read_lines(self.lines))
        self.report.faults += output_faults(self.place, self._texts)
        self.report.starts = sum(line.mark == "start" for line in read_lines(self.lines))
        self.report.executions = Counter(row[0] for row in self.place.rows("SELECT status FROM jobs_execution"))
        for what, longest in (
            ("the jobs", self.report.longest_standstill),
            ("the queue work", self.report.longest_standstill_of_work),
        ):
            if longest > self.report.allowed_standstill:
                self.report.faults.append(f"{what} stood still for {longest:.1f} s")
        if self.report.answers["500"]:
            self.report.faults.append(f"the web answered 500 {self.report.answers['500']} times")


# --- Judging -------------------------------------------------------------------------------------


def faults(place: Deployment, ids: dict[int, str], lines: list[Line]) -> Iterator[str]:
    """Everything that is not as promised. `ids`: what the web answered for each job's number."""
    rows = place.rows("SELECT id, uuid, classification, status FROM jobs_job")
    numbers = {row[0]: int(row[2].removeprefix("job-")) for row in rows}
    by_number: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_number[numbers[row[0]]].append(row)
    ends = Counter(_ends(place))
    executions: dict[int, dict[str, str]] = defaultdict(dict)
    for job_id, uuid, status in place.rows("SELECT job_id, uuid, status FROM jobs_execution ORDER BY id"):
        executions[numbers[job_id]][_text(uuid)] = status
    told: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        told[line.number].append(line)
    for number, answer in ids.items():
        found = by_number.pop(number, [])
        if [_text(row[1]) for row in found] != [answer]:
            yield f"job {number}: the web answered {answer!r}, the tables have {[_text(row[1]) for row in found]}"
            continue
        [(job_id, _, _, status)] = found
        if status != "COMPLETED" or ends[job_id] != 1:
            yield f"job {number} is {status}, and has ended {ends[job_id]} times; its executions {executions[number]}"
        yield from (f"job {number}: {fault}" for fault in _faults_of(executions[number], told.pop(number, [])))
    yield from (f"job {number} was submitted by nobody" for number in by_number)
    yield from (f"lines of job {number}, which there is not" for number in told)


def _faults_of(executions: dict[str, str], lines: list[Line]) -> Iterator[str]:
    """What is wrong with one job: its executions with their states, and the lines of its commands in order."""
    completed = [execution for execution, status in executions.items() if status == "COMPLETED"]
    if len(completed) != 1:
        yield f"{len(completed)} executions completed: {executions}"
    if others := sorted({status for status in executions.values() if status not in ("COMPLETED", "LOST")}):
        yield f"executions that ended as {others}"
    started = [line.execution for line in lines if line.mark == "start"]
    ended = [line.execution for line in lines if line.mark == "end"]
    if twice := [execution for execution, count in Counter(started).items() if count > 1]:
        yield f"commands that ran twice for one execution: {twice}"
    if unknown := set(started) - set(executions):
        yield f"commands of executions that there are not: {unknown}"
    if len(started) > len(executions):
        yield f"{len(started)} commands for {len(executions)} executions"
    if missing := [execution for execution in completed if execution not in started or execution not in ended]:
        yield f"completed, but no command said so: {missing}"
    running = ""
    for line in lines:
        if line.mark == "end" and line.execution != running:
            yield f"{line.execution} went on after {running or 'its end'} had been started"
        running = line.execution if line.mark == "start" else ""


def _ends(place: Deployment) -> Iterator[int]:
    """The job of each move to a final state."""
    rows = place.rows("SELECT subject_id, after FROM accounts_event WHERE kind = 'job.moved' AND subject_kind = 'job'")
    for job_id, after in rows:
        if status_in(after) in FINAL:
            yield job_id


def status_in(state: Any) -> str:
    """The status that the `before` or `after` of an event names: SQLite keeps JSON as text."""
    return str((json.loads(state) if isinstance(state, str) else state)["status"])


def _text(uuid: object) -> str:
    """A uuid as text: SQLite keeps 32 digits."""
    text = str(uuid)
    return text if "-" in text else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
