"""A deployment to measure: PostgreSQL with durable commits, web, workers, and an admin's token."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests import environment, postgresql
from tests.bench import cpu
from tests.deployment import Deployment, drop_templates, end_processes
from tests.waiting import until


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL whose commits are durable, as a user's are."""
    with postgresql.cluster() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = on".encode())
            connection.execute("SELECT pg_reload_conf()")
        os.environ["TEST_POSTGRES_URL"] = url
        # Jobs' folders in memory: a disk that has just lost thousands of files is slow to make new ones for some
        # minutes, and that would be measured instead. PostgreSQL stays on the disk.
        if os.access("/dev/shm", os.W_OK):
            tempfile.tempdir = "/dev/shm"
        environment.prepare()
        try:
            yield url
        finally:
            drop_templates()


class Rig:
    """One deployment under measurement."""

    def __init__(self, **settings: str) -> None:
        self.deployment = Deployment("postgresql", DEBUG="1", **settings)
        self.token = self.deployment.bootstrap("bench")
        self.postgres = cpu.listener(urlsplit(self.deployment.database_url).port or 5432)

    def start_work(self) -> list[int]:
        """Start the workers, run one job to have the runner up too; the roots of all their processes."""
        work = self.deployment.start_manage("work")
        assert self.run_jobs(1) is not None
        runners = [
            p.pid for p in self.deployment.processes() if "clusters.providers.local.runner" in " ".join(p.cmdline())
        ]
        return [work.pid, *runners]

    def python(self, code: str, *arguments: str) -> str:
        """Run a piece of code inside the deployment, as the service layer's caller would."""
        return self.deployment.run_python(code, *arguments)

    def catch_up(self) -> None:
        """Wait until all who follow the log have come to its end, so that what was submitted is not measured."""
        behind = "SELECT count(*) FROM accounts_follower WHERE position < (SELECT max(position) FROM accounts_event)"
        until(lambda: self.deployment.rows(behind) == [(0,)], "followers at the end of the log", seconds=180)

    def run_jobs(self, count: int) -> dict[str, Any]:
        """Submit `count` no-op jobs in one service call and wait until all have ended well."""
        told: dict[str, Any] = json.loads(self.python(_RUN_JOBS, str(count)))
        assert told["failed"] == 0, told
        return told

    def rest(self) -> None:
        """End the processes. The folder stays until `stop`: deleting thousands of files slows what is made next."""
        end_processes(self.deployment.folder)

    def stop(self) -> None:
        self.deployment.stop()


_RUN_JOBS = """
import json, sys, time
from accounts.queries import find_user
from jobs.models import Job
from jobs.services import JobRequest, submit_jobs
n = int(sys.argv[1])
request = JobRequest(
    customer="bench", region="local", classification="noop", command=["/bin/true"], vcpus_milli=100, memory_mib=32
)
owner = find_user("bench")
cpu, start = time.process_time(), time.perf_counter()
made = submit_jobs(owner=owner, requests=[request] * n)
submitted = time.perf_counter() - start
jobs = Job.objects.filter(id__gte=made[0].id, id__lte=made[-1].id)
while jobs.exclude(status__in=("COMPLETED", "FAILED")).exists():
    assert time.perf_counter() - start < 300, dict(jobs.values_list("status").distinct())
    time.sleep(0.05)
print(json.dumps({
    "submit_s": submitted, "total_s": time.perf_counter() - start, "submit_cpu_s": time.process_time() - cpu,
    "failed": jobs.exclude(status="COMPLETED").count(),
}))
"""


def post_many(base_url: str, path: str, body: bytes, headers: dict[str, str], seconds: float, threads: int = 4) -> int:
    """POST the same body over kept connections for so long; how many were answered with 2xx."""
    counts = [0] * threads
    end = time.monotonic() + seconds

    def client(n: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
        while time.monotonic() < end:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            answer = response.read()
            assert response.status in (200, 201), (response.status, answer[:300])
            counts[n] += 1
        connection.close()

    _together([lambda n=n: client(n) for n in range(threads)])  # type: ignore[misc]
    return sum(counts)


def _together(works: list[Callable[[], None]]) -> None:
    faults: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            faults.append(error)

    running = [Thread(target=guarded, args=(work,)) for work in works]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if faults:
        raise faults[0]
