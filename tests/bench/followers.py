"""Many who follow the logs of running jobs on one web process, and what POST /submit is beside them."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from tests import environment
from tests.bench import cpu
from tests.bench.line import Line
from tests.bench.rig import Rig, post_many

FOLLOWERS: Final = 200
JOBS: Final = 20
CONNECTIONS: Final = 8
ROUNDS: Final = 3
SECONDS: Final = 4.0


def followers(url: str) -> list[Line]:
    """All on one web process with its pool; the jobs write a line a second each, before and during."""
    settings: dict[str, str] = {"WEB_WORKERS": "1", "WEB_THREADS": "288", "WEB_DATABASE_CONNECTIONS": str(CONNECTIONS)}
    rig = Rig(LOCAL_ISOLATION="0", LOCAL_VCPUS="64", **settings)
    try:
        jobs = _start_jobs(rig)
        base = rig.deployment.start_web()
        [web] = psutil.Process(cpu.listener(int(base.rpartition(":")[2]))).children()
        header = {"Authorization": f"Bearer {rig.token}"}
        body = json.dumps({"customer": "bench", "cloud": "local", "region": "local", "id": "noop", "image": "x",
                           "command": ["/bin/true"]}).encode()  # fmt: skip

        def rate() -> float:
            start = time.monotonic()
            return post_many(base, "/submit", body, header, SECONDS) / (time.monotonic() - start)

        rate()  # warms it up
        found: list[tuple[float, float, float]] = []
        for _ in range(ROUNDS):
            alone = rate()
            with _following(base, rig.token, jobs):
                used = sum(web.cpu_times()[:2])
                time.sleep(SECONDS)
                used = (sum(web.cpu_times()[:2]) - used) / SECONDS
                found.append((rate() / alone, alone, used))
                memory = web.memory_info().rss / 2**20
                connections = connections_to(rig)
        ratio, alone, used = (statistics.median(column) for column in zip(*found, strict=True))
        note = f"of {alone:.0f} submits/s; the followers alone take {used:.2f} CPUs"
        return [
            Line(
                f"{FOLLOWERS} followers of logs: rate of POST /submit over that without",
                ratio,
                0.6,
                0.8,
                note,
                more=True,
            ),
            Line(f"{FOLLOWERS} followers of logs: memory of the web process, MiB", memory, 150, 120, ""),
            Line(f"{FOLLOWERS} followers of logs: database connections", connections, CONNECTIONS, CONNECTIONS, ""),
        ]
    finally:
        rig.stop()


def _start_jobs(rig: Rig) -> list[str]:
    """Jobs that run and write. The workers end again: what is submitted later stays queued and takes no CPU."""
    rig.start_work()
    jobs = rig.python(_START, str(JOBS)).split()
    deadline = time.monotonic() + 60
    while rig.deployment.rows("SELECT count(*) FROM jobs_job WHERE status = 'RUNNING'") != [(JOBS,)]:
        assert time.monotonic() < deadline, rig.deployment.logs()
        time.sleep(0.1)
    rig.deployment.end_manage("work")
    return jobs


def connections_to(rig: Rig) -> int:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return int(rig.deployment.rows(statement)[0][0])


@contextmanager
def _following(base: str, token: str, jobs: list[str]) -> Iterator[None]:
    """Followers in a process of their own: reading what they are told is not the server's work."""
    command = [sys.executable, "-c", _FOLLOW, base.removeprefix("http://"), token, str(FOLLOWERS), *jobs]
    with subprocess.Popen(
        command, cwd=environment.CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "all were told of a line\n"
        yield
        process.stdin.close()
        lines = int(process.stdout.readline())
    assert lines > FOLLOWERS * SECONDS, f"only {lines} lines were told"


_START = """
import sys
from accounts.queries import find_user
from jobs.services import JobRequest, submit_jobs
command = ["sh", "-c", "while :; do echo a line of the log; sleep 1; done"]
request = JobRequest(
    customer="bench", region="local", classification="talker", command=command, vcpus_milli=100, memory_mib=32
)
made = submit_jobs(owner=find_user("bench"), requests=[request] * int(sys.argv[1]))
print(*(job.uuid for job in made))
"""

_FOLLOW = """
import selectors, socket, sys
host, token, count, *jobs = sys.argv[1:]
name, port = host.split(":")
waiting, lines = set(), 0
selector = selectors.DefaultSelector()
for n in range(int(count)):
    connection = socket.create_connection((name, int(port)))
    path = f"/v6/jobs/{jobs[n % len(jobs)]}/logs/combined/"
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"]
    connection.sendall("\\r\\n".join([*head, "Accept: text/event-stream", "\\r\\n"]).encode())
    waiting.add(connection)
    selector.register(connection, selectors.EVENT_READ)
selector.register(sys.stdin, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is sys.stdin:
            print(lines)
            sys.exit()
        piece = key.fileobj.recv(65536)
        assert piece, "a stream ended"
        lines += piece.count(b"a line of the log")
        if b"event: log" in piece and key.fileobj in waiting:
            waiting.discard(key.fileobj)
            if not waiting:
                print("all were told of a line", flush=True)
"""
