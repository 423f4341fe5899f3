"""`make bench`: our figures beside the physical limit and the peer's, as ratios of one run.

CPU is that of all our processes and PostgreSQL. Exits non-zero when a figure misses what is accepted.
`python -m tests.bench submit queue` runs some of the parts only; `--events` says how many events are in the log.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg

from tests import environment, needs
from tests.bench import (
    containers,
    cpu,
    desk,
    events,
    job_types,
    limits,
    mapreduce,
    mapreduce_jobs,
    money,
    native,
    webhooks,
)
from tests.bench.followers import followers
from tests.bench.line import Line
from tests.bench.rig import Rig, post_many, server
from tests.deployment import _answers
from tests.postgresql import free_port

JOBS = 2000
BLOCKED = 200_000


def _submit_cpu() -> tuple[float, float, float]:
    """CPU of a POST /submit over that of a POST to the bare DRF peer, in turns; ms each, and PostgreSQL's part."""
    rig = Rig(WEB_WORKERS="2")
    try:
        base = rig.deployment.start_web(WEB_WORKERS="2")
        ours = cpu.listener(int(base.rpartition(":")[2]))
        peer_url, peer = _start_peer(rig)
        body = json.dumps(
            {"customer": "bench", "cloud": "local", "region": "local", "id": "noop", "command": ["/bin/true"],
             "image": "x", "env": {"A": "1"}, "tags": {"team": "x"}, "resources": {"vcpus": 1, "memory": 0.25}}
        ).encode()  # fmt: skip
        spec = {"kind": "process", "cmd": ["/bin/true"], "env": {"A": "1"}, "limits": {"cpu": 1, "mem": "256Mi"}}
        bare = json.dumps({"name": "job-1", "spec": spec}).encode()
        header = {"Authorization": f"Bearer {rig.token}"}
        found: list[tuple[float, float, float]] = []
        for round_ in range(6):
            database = cpu.tree([rig.postgres])
            done = cpu.measure([ours, rig.postgres], lambda: post_many(base, "/submit", body, header, 4))
            database = cpu.tree([rig.postgres]) - database
            bare_done = cpu.measure([peer.pid, rig.postgres], lambda: post_many(peer_url, "/jobs/", bare, {}, 4))
            each = done.watched / done.result * 1000
            if round_:  # the first warms both up
                found.append(
                    (each / (bare_done.watched / bare_done.result * 1000), each, database / done.result * 1000)
                )
        peer.terminate()
        peer.wait()
        ratios, each_ms, database_ms = (statistics.median(column) for column in zip(*found, strict=True))
        return ratios, each_ms, database_ms
    finally:
        rig.stop()


def _start_peer(rig: Rig) -> tuple[str, subprocess.Popen[bytes]]:
    env = {**rig.deployment.env, "DJANGO_SETTINGS_MODULE": "tests.bench.peer.settings", "PYTHONPATH": "."}
    tables = "import django; django.setup(); from django.core.management import call_command as c; "
    tables += "c('migrate', run_syncdb=True, verbosity=0)"
    database = rig.deployment.database_url + "_peer"
    env["DATABASE_URL"] = database
    _create_database(rig, database.rpartition("/")[2])
    subprocess.run([sys.executable, "-c", tables], cwd=environment.CHECKOUT, env=env, check=True)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "tests.bench.peer.wsgi", "-k", "gthread", "-w", "2", "--threads", "8"]
    command += ["-b", f"127.0.0.1:{port}", "--keep-alive", "30", "--log-level", "error", "--no-control-socket"]
    process = subprocess.Popen(command, cwd=environment.CHECKOUT, env=env)
    assert _answers(process, port), "the peer did not start"
    return f"http://127.0.0.1:{port}", process


def _create_database(rig: Rig, name: str) -> None:
    with psycopg.connect(rig.deployment.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())


def submit(url: str) -> list[Line]:
    ratio, each, database = _submit_cpu()
    note = f"{each:.2f} ms each, {database:.2f} of it PostgreSQL"
    return [Line("POST /submit: CPU over a bare DRF create on the same server", ratio, 1.0, 0.66, note)]


def _queue_cpu(rig: Rig, roots: list[int], rounds: int = 3) -> tuple[float, float]:
    """CPU seconds per job over one fork + exec, and jobs per second; the median of some rounds."""
    ratios, rates = [], []
    for _ in range(rounds):
        limit = limits.fork_exec_cpu()
        done = cpu.measure([*roots, rig.postgres], lambda: rig.run_jobs(JOBS))
        ratios.append((done.watched + done.result["submit_cpu_s"]) / JOBS / limit)
        rates.append(JOBS / done.result["total_s"])
    return statistics.median(ratios), statistics.median(rates)


def queue(url: str) -> list[Line]:
    rigs: list[Rig] = []
    try:
        return [*_unisolated(rigs), *_isolated(rigs)]
    finally:
        for rig in rigs:
            rig.stop()


def _unisolated(rigs: list[Rig]) -> list[Line]:
    rigs.append(rig := Rig(LOCAL_ISOLATION="0", LOCAL_VCPUS="2"))
    roots = rig.start_work()
    plain, rate = _queue_cpu(rig, roots)
    rig.python(_BLOCK, str(BLOCKED))
    rig.catch_up()
    past, past_rate = _queue_cpu(rig, roots)
    rig.rest()
    note = f"{past:.2f} against {plain:.2f} forks; {past_rate:.0f} jobs/s"
    return [
        Line("2 000 no-op jobs, unisolated: CPU per job over one C fork+exec", plain, 5.0, 3.0, f"{rate:.0f} jobs/s"),
        Line("the same past 200 000 blocked jobs, over the above", past / plain, 1.2, 1.05, note),
    ]


def _isolated(rigs: list[Rig]) -> list[Line]:
    if needs.missing("bubblewrap"):
        print("NOT MEASURED: isolated jobs, bubblewrap does not work here")
        return []
    rigs.append(rig := Rig(LOCAL_ISOLATION="1", LOCAL_VCPUS="2"))
    ratio, rate = _queue_cpu(rig, rig.start_work())
    rig.rest()
    return [Line("2 000 no-op jobs, isolated: CPU per job over one C fork+exec", ratio, 8.0, 6.0, f"{rate:.0f} jobs/s")]


_BLOCK = """
import sys
from accounts.queries import find_user
from jobs.models import Lane
from jobs.services import JobRequest, place_hold, set_cap, submit_jobs
n = int(sys.argv[1])
owner = find_user("bench")
from accounts.services import ensure_customer
def of(customer):
    return JobRequest(customer=customer, region="local", classification="blocked", command=["/bin/true"])
held, capped = [of(f"held-{i}") for i in range(50)], [of(f"capped-{i}") for i in range(50)]
for request in held + capped:
    customer = ensure_customer(request.customer)
    if request.customer.startswith("held"):
        place_hold(scope="customer", scope_id=str(customer), code="BENCH")
    else:
        set_cap(scope="customer", scope_id=str(customer), max_jobs=0)
requests = (held + capped) * (n // 100)
for start in range(0, len(requests), 10_000):
    submit_jobs(owner=owner, requests=requests[start:start + 10_000])
from django.db import connection
connection.cursor().execute("VACUUM ANALYZE")
"""


def latency(url: str) -> list[Line]:
    rig = Rig()
    try:
        rig.start_work()
        base = rig.deployment.start_web()
        asked: dict[str, float] = {}
        body = json.dumps({"customer": "bench", "cloud": "local", "region": "local", "id": "x", "image": "x",
                           "command": ["/bin/true"]}).encode()  # fmt: skip
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
        for n in range(80):
            time.sleep(0.1 + (n * 37 % 100) / 400)  # idle in between: the queue is empty and everything rests
            start = time.time()
            connection.request("POST", "/submit", body, {"Authorization": f"Bearer {rig.token}"})
            asked[json.loads(connection.getresponse().read())["job_id"]] = start
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            rows = rig.deployment.rows(
                "SELECT j.uuid, extract(epoch FROM e.started_at) FROM jobs_job j"
                " JOIN jobs_execution e ON e.job_id = j.id WHERE e.started_at IS NOT NULL"
            )
            started = {str(uuid): float(at) for uuid, at in rows}
            if asked.keys() <= started.keys():
                break
            time.sleep(0.05)
        waits = sorted((started[job] - at) * 1000 for job, at in list(asked.items())[5:])
        p50, p95 = waits[len(waits) // 2], waits[int(len(waits) * 0.95)]
        note = "idle; milliseconds"
        return [
            Line("submit over HTTP to process running, p50 ms", p50, 60, 15, note),
            Line("submit over HTTP to process running, p95 ms", p95, 150, 40, note),
        ]
    finally:
        rig.stop()


def bulk(url: str) -> list[Line]:
    rig = Rig()
    try:
        code = _RUN_BULK
        rates = [float(rig.python(code)) for _ in range(3)]
        copy = limits.copy_rows_per_second(rig.deployment.database_url)
        rate = statistics.median(rates)
        note = f"{rate / copy:.2f} of COPY ({copy:.0f} rows/s)"
        return [Line("bulk submit through the service, rows/s", rate, 5000, 0.3 * copy, note, more=True)]
    finally:
        rig.stop()


_RUN_BULK = """
import time
from accounts.queries import find_user
from jobs.services import JobRequest, submit_jobs
owner = find_user("bench")
make = lambda n: [JobRequest(customer="bench", region="local", classification="noop", command=["/bin/true"],
                             env={"A": "1"} if n % 4 == 0 else {}) for n in range(n)]
submit_jobs(owner=owner, requests=make(10))
requests = make(10_000)
start = time.perf_counter()
submit_jobs(owner=owner, requests=requests)
print(10_000 / (time.perf_counter() - start))
"""

PARTS: dict[str, Callable[[str], list[Line]]] = {
    "submit": submit,
    "queue": queue,
    "latency": latency,
    "bulk": bulk,
    "pages": native.pages,
    "statistics": job_types.statistics,
    "http-bulk": native.http_bulk,
    "cancel": native.cancel,
    "followers": followers,
    "events": events.events,
    "event-streams": events.streams,
    "webhooks": webhooks.webhooks,
    "containers": containers.containers,
    "money": money.money,
    "desk": desk.desk,
    "mapreduce": mapreduce.word_count,
    "mapreduce-jobs": mapreduce_jobs.jobs,
}


def main(names: list[str], log: int) -> int:
    parts: dict[str, Callable[[str], list[Line]]] = {**PARTS, "events": functools.partial(events.events, rows=log)}
    lines: list[Line] = []
    with server() as url:
        for name, part in parts.items():
            if not names or name in names:
                print(f"measuring {name} (load {os.getloadavg()[0]:.1f}) ...", flush=True)
                lines += part(url)
    print(f"\n{'what':68} {'figure':>9} {'accept':>9} {'aim':>9}")
    for line in lines:
        print(line)
    return 0 if all(line.passes for line in lines) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument(
        "--events", type=int, default=events.EVENTS, help="in the log that is read (default: %(default)s)"
    )
    given = parser.parse_args()
    sys.exit(main(given.parts, given.events))
