"""The staff's desk at scale: every page of the admin with a million jobs, ten million events and a thousand types."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

import psycopg

from tests import environment
from tests.bench.events import FILL as EVENTS_FILL
from tests.bench.job_types import FILL as JOBS_FILL
from tests.bench.job_types import register
from tests.bench.line import Line
from tests.bench.native import Caller, signed_in
from tests.bench.rig import Rig
from tests.waiting import until

JOBS: Final = 1_000_000
EVENTS: Final = 10_000_000
CUSTOMERS: Final = 1000
RECORDS: Final = 1_000_000
ROUNDS: Final = 20
ACCEPT_MS: Final = 300
SHOWN: Final = 5

# What a page is asked for that the list of all pages does not say: searches, filters, rows with the most behind them.
_ASKED: Final = """
import json
from accounts.models import ApiToken
from django.db.models import Max
from jobs.models import Execution, Job
from jobtypes.models import JobType
jobs = Job.objects.filter(job_type__isnull=False).aggregate(last=Max("id"))["last"]
job = Job.objects.get(pk=jobs)
asked = [f"/admin/jobs/job/{job.pk}/change/", f"/admin/jobs/job/?q={job.uuid}", f"/admin/jobs/job/?q={job.pk}"]
asked += [f"/admin/jobs/job/?state={state}" for state in ("FAILED", "QUEUED", "COMPLETED")]
asked += [f"/admin/jobs/job/?older={jobs // 2}", f"/admin/jobs/job/?q={job.classification}"]
asked += [f"/admin/jobs/job/?job_type_id={job.job_type_id}", "/admin/jobs/job/?error_category=DATA"]
asked += ["/admin/jobs/job/?reason=NONE", "/admin/jobs/job/?q=none"]
most = JobType.objects.order_by("id").first()
asked += [f"/admin/jobtypes/jobtype/{most.pk}/change/"]
asked += [f"/admin/jobtypes/jobtype/?{which}" for which in ("q=type-9", "p=9")]
execution = Execution.objects.aggregate(last=Max("id"))["last"]
asked += [f"/admin/jobs/execution/{execution}/change/", f"/admin/accounts/event/?q=job+{job.pk}"]
asked += ["/admin/accounts/event/?older=5000000", "/admin/accounts/customer/?q=customer+7"]
print(json.dumps(asked))
"""
_EXECUTIONS: Final = """
import sys
from django.db import connection
from jobs.models import Execution
cursor = connection.cursor()
cursor.execute("SET synchronous_commit = off")
row = Execution.objects.filter(status="FAILED").order_by("id").last()
columns = [c.name for c in connection.introspection.get_table_description(cursor, "jobs_execution") if c.name != "id"]
drawn = {"uuid": "gen_random_uuid()", "job_id": "j.id", "number": "1"}
drawn |= {"place_id": "j.place_id", "error_id": "j.error_id", "status": "j.status"}
drawn |= {"ended_at": "CASE WHEN j.status = 'RUNNING' THEN NULL ELSE j.moved_at END"}
drawn |= dict.fromkeys(("created_at", "started_at"), "j.moved_at - interval '1 s'")
values = ", ".join(drawn.get(c, f"e.{c}") for c in columns)
cursor.execute(f"INSERT INTO jobs_execution ({', '.join(columns)}) SELECT {values} FROM jobs_execution e, jobs_job j"
    " WHERE e.id = %s AND j.status IN ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELED')"
    " AND NOT EXISTS (SELECT 1 FROM jobs_execution o WHERE o.job_id = j.id)", [row.pk])
"""
_PEOPLE: Final = """
INSERT INTO accounts_customer (id, name, created_at) SELECT 1000000 + n, 'customer ' || n, now()
FROM generate_series(0, %s) AS n
"""
_COUNT: Final = """
import django, time
django.setup()
from controlplane.schedules import SCHEDULES
from jobs.tasks import count_lanes
every = next(each.every_seconds for each in SCHEDULES if each.path == "jobs.tasks.count_lanes")
while True:
    count_lanes()
    time.sleep(every)
"""


def desk(url: str) -> list[Line]:
    """Server time of each page, asked one after the other by one person."""
    return _measured(JOBS, EVENTS)


def _measured(jobs: int, events: int) -> list[Line]:
    rig = Rig(WEB_WORKERS="1")
    try:
        pages = rig.deployment.furnish()
        base = rig.deployment.start_web()
        register(base, rig.token, versions=1)
        _fill(rig, jobs, events)
        pages += json.loads(rig.python(_ASKED))
        caller = signed_in(rig, base)
        with _counting(rig):
            took = {path: _took(caller, path) for path in dict.fromkeys(pages)}
    finally:
        rig.stop()
    slowest = sorted(took, key=lambda path: -_p95(took[path]))
    shown = [path for path in slowest if _p95(took[path]) > ACCEPT_MS][SHOWN:] + slowest[:SHOWN]
    half = median(median(each) for each in took.values())
    return [
        Line(
            f"admin: half of its {len(took)} pages are quicker than, ms", half, 100, 50, f"{jobs} jobs, {events} events"
        ),
        *(_line(path, took[path]) for path in dict.fromkeys(["/admin/", *shown])),
    ]


@contextmanager
def _counting(rig: Rig) -> Iterator[None]:
    """Meanwhile somebody counts what is alive as the workers would, and does none of their other work."""
    env = {**rig.deployment.env, "DJANGO_SETTINGS_MODULE": "controlplane.settings"}
    with subprocess.Popen([sys.executable, "-c", _COUNT], cwd=environment.CHECKOUT, env=env) as process:
        try:
            rows = "SELECT count(*) FROM jobs_lanecount"
            until(lambda: rig.deployment.rows(rows) != [(0,)] or process.poll() is not None, "a count", seconds=60)
            yield
            assert process.poll() is None, "counting broke off"
        finally:
            process.terminate()


def _line(path: str, took: list[float]) -> Line:
    return Line(f"admin: {path}"[:60] + ": p95 ms", _p95(took), ACCEPT_MS, ACCEPT_MS / 2, f"p50 {median(took):.0f} ms")


def _p95(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.95)]


def _fill(rig: Rig, jobs: int, events: int) -> None:
    rig.python(JOBS_FILL, str(jobs))
    rig.python(_EXECUTIONS)
    with psycopg.connect(rig.deployment.database_url, autocommit=True) as database:
        database.execute("SET synchronous_commit = off")
        database.execute(_PEOPLE, [CUSTOMERS - 1])
        [[first]] = database.execute("SELECT coalesce(max(position), 0) FROM accounts_event").fetchall()
        database.execute(EVENTS_FILL, {"first": first, "count": events})
        database.execute("UPDATE accounts_follower SET position = %s", [first + events])
        database.execute("VACUUM ANALYZE")


def _took(caller: Caller, path: str) -> list[float]:
    """Milliseconds of each answer."""
    took = []
    for turn in range(ROUNDS + 2):
        start = time.perf_counter()
        caller.get(path)
        if turn >= 2:  # the first warm it up
            took.append((time.perf_counter() - start) * 1000)
    return took
