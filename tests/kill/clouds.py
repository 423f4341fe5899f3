"""An ordeal of jobs at AWS: a fifth of all calls fails, is throttled or loses its answer, and the callers are killed.

In the end every job has ended as it should, and there is one job at AWS for each execution: as many as were ever
started under each name, the lost answers and dead callers included. Moments, victims and faults come from the seed that
the report names, and nothing is killed by name.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from tests.clusters.aws import account
from tests.clusters.aws.account import Aws
from tests.deployment import Deployment
from tests.jobs.test_seed_end_to_end import Client
from tests.kill.anatomy import Anatomy, wait_for

PAUSE: Final = (4.0, 10.0)  # seconds from kill to kill, of which a start takes some
VICTIMS: Final = ("caller", "caller", "caller", "supervisor")
MANY: Final = 10**9
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"action": "*", "chance": 0.06, "status": 500, "code": "ServerException"},
    {"action": "*", "chance": 0.06, "status": 429, "code": "TooManyRequestsException", "headers": {"Retry-After": "1"}},
    {"action": "*", "chance": 0.04, "delay": 1.0},
    {"action": "submitjob", "chance": 0.06, "drop": True},
    {"action": "describejobs", "chance": 0.06, "drop": True},
)
ALIKE: Final = 20  # in each set of jobs that goes in one call


def settings_of(aws: Aws) -> dict[str, str]:
    queues = f'{{"{account.REGION}": {{"HIGH": "high", "LOW": "low"}}}}'
    return {
        **account.ENVIRONMENT,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_REGIONS": account.REGION,
        "AWS_BATCH_QUEUES": queues,
        "RETRY_BACKOFF_SECONDS": "0",
    }


@dataclass
class Report:
    """What an ordeal came to. `seconds`: from the first submit to the last end."""

    seed: int
    database: str
    jobs: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def calls_per_job(self) -> float:
        return sum(self.calls.values()) / self.jobs

    def __str__(self) -> str:
        calls = sum(self.calls.values())
        return "\n".join(
            [
                f"{self.jobs} jobs at AWS on {self.database}, seed {self.seed}: {self.seconds:.1f} s,"
                f" {sum(self.kills.values())} kills, {calls} calls, {self.calls_per_job():.2f} for each job",
                f"  calls: {', '.join(f'{name} {count}' for name, count in self.calls.most_common())}",
                *(f"  FAULT: {fault}" for fault in self.faults),
            ]
        )


class Ordeal:
    """One run, in a deployment with `settings_of` the AWS and of which nothing has been started yet."""

    def __init__(self, place: Deployment, aws: Aws, *, jobs: int, seed: int, disturbed: bool = True) -> None:
        self.report = Report(seed, place.database, jobs)
        self._place, self._aws, self._disturbed = place, aws, disturbed
        self._anatomy = Anatomy(place)
        self._random = random.Random(seed)

    def run(self) -> Report:
        self._place.bootstrap("root")
        self._place.start_web()
        self._anatomy.start_work()
        client = Client(self._place)
        self._aws.order(*({**fault, "times": MANY} for fault in FAULTS if self._disturbed))
        over = threading.Event()
        killer = threading.Thread(target=self._kill, args=(over,))
        began = time.monotonic()
        if self._disturbed:
            killer.start()
        try:
            self._submit(client)
            wait_for(self._all_ended, 120 + 0.6 * self.report.jobs, "that all jobs end")
        except AssertionError as fault:
            self.report.faults.append(str(fault))
        finally:
            over.set()
            if self._disturbed:
                killer.join()
        self.report.seconds = time.monotonic() - began
        self.report.calls = Counter(self._aws.all_seen())
        self._aws.order()
        self._judge()
        return self.report

    def _submit(self, client: Client) -> None:
        """Half of them differ from each other; the others come in sets of alike ones."""
        fixed = {"customer": "acme", "cloud": "aws", "region": account.REGION, "image": "localhost/busybox:latest"}
        fixed |= {"vcpus": 0.25, "memory_mib": 64, "max_tries": 60, "command": ["/bin/true"]}  # type: ignore[dict-item]
        half = self.report.jobs // 2
        alone = [{**fixed, "classification": "alone", "env": {"NUMBER": str(i)}} for i in range(half)]
        sets = [str(i // ALIKE) for i in range(self.report.jobs - half)]
        alike = [{**fixed, "classification": "alike", "env": {"SET": number}} for number in sets]
        for bodies in (alone, alike):
            client.call("POST", "/v6/jobs/", bodies)

    def _all_ended(self) -> bool:
        rows = self._place.rows("SELECT count(*) FROM jobs_job WHERE ended_at IS NULL")
        return bool(rows == [(0,)])

    def _kill(self, over: threading.Event) -> None:
        """The process that calls the clouds, or all of the background."""
        while not over.wait(self._random.uniform(*PAUSE)):
            kind = self._random.choice(VICTIMS)
            victim = self._anatomy.supervisor() if kind == "supervisor" else self._caller()
            if victim is None:
                continue
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.report.kills[kind] += 1
            if kind == "supervisor":
                victim.wait(20)
                self._anatomy.start_work()

    def _caller(self) -> psutil.Process | None:
        found = []
        for process in self._place.processes():
            with suppress(psutil.Error):
                if "clouds" in process.cmdline():
                    found.append(process)
        return self._random.choice(found) if found else None

    def _judge(self) -> None:
        rows = self._place.rows(
            "SELECT j.status, e.status, e.handle, s.uuid FROM jobs_job j JOIN jobs_execution e ON e.job_id = j.id"
            " LEFT JOIN jobs_submission s ON s.id = e.submission_id"
        )
        statuses = Counter(row[0] for row in rows)
        if statuses != {"COMPLETED": self.report.jobs}:
            self.report.faults.append(f"the jobs are {dict(statuses)}")
        handles = [row[2] for row in rows]
        if len(set(handles)) != self.report.jobs or not all(handles):
            self.report.faults.append(f"{len(rows)} executions have {len(set(handles))} handles")
        names = {str(row[3]).replace("-", "") for row in rows}
        started = Counter(name.replace("-", "") for name in self._started())
        if twice := [name for name, count in started.items() if count > 1]:
            self.report.faults.append(f"{len(twice)} submissions were started more than once")
        if set(started) != names:
            self.report.faults.append(f"{len(started)} names were started, {len(names)} are known here")

    def _started(self) -> list[str]:
        """The names of all jobs at AWS that were submitted: of array jobs the parents."""
        batch = self._aws.client("batch")
        names = []
        for queue in account.QUEUES.values():
            for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"):
                for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status):
                    names += [job["jobName"] for job in page["jobSummaryList"] if ":" not in job["jobId"]]
        return names
