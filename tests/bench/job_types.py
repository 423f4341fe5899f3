"""Job types at scale: 3 000 of them, with ten thousand jobs and with a million."""

from __future__ import annotations

import http.client
import json
import time
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench.line import Line
from tests.bench.native import FEW, MANY, ROUNDS, Caller, signed_in
from tests.bench.rig import Rig

NAMES: Final = 1000
TURNS: Final = 5
VERSIONS: Final = ("1.0.0", "1.1.0", "2.0.0")
LISTS: Final = {
    "job-types/": "GET /v6/job-types/",
    "job-type-names/": "GET /v6/job-type-names/",
    "job-types/status/": "GET /v6/job-types/status/, three hours",
    "job-types/status/?started=P1D": "GET /v6/job-types/status/, a day",
    "job-types/pending/": "GET /v6/job-types/pending/",
    "job-types/running/": "GET /v6/job-types/running/",
    "job-types/system-failures/": "GET /v6/job-types/system-failures/",
}
# The first type has half of all jobs.
PAGES: Final = {
    "/admin/jobtypes/jobtype/": "admin: list of job types, with counts",
    "/admin/jobtypes/jobtype/1/change/": "admin: page of a job type, with counts",
}


def statistics(url: str) -> list[Line]:
    """Lists and statistics of job types over HTTP, and how quickly types are registered and deltas added up.

    Two deployments are asked in turns: others on the machine slow both alike.
    """
    rigs: dict[int, Rig] = {}
    try:
        callers: dict[int, Caller] = {}
        rate = folded = 0.0
        for jobs in (FEW, MANY):
            rigs[jobs] = rig = Rig(WEB_WORKERS="2")
            rate = register(rig.deployment.start_web(WEB_WORKERS="2"), rig.token)
            folded = float(rig.python(FILL, str(jobs)))
        staff: dict[int, Caller] = {}
        for jobs, rig in rigs.items():
            callers[jobs] = Caller(rig.deployment.base_url, {"Authorization": f"Bearer {rig.token}"})
            staff[jobs] = signed_in(rig, rig.deployment.base_url)
        types = f"{NAMES * len(VERSIONS)} of them, one caller"
        return [
            Line("POST /v6/job-types/, types/s", rate, 50, 100, types, more=True),
            Line("adding up counts, deltas/s", folded, 10_000, 30_000, "those of a million jobs", more=True),
            *(line for path, what in LISTS.items() for line in _beside(callers, f"/v6/{_with_size(path)}", what)),
            *(line for path, what in PAGES.items() for line in _beside(staff, path, what)),
        ]
    finally:
        for rig in rigs.values():
            rig.stop()


def _beside(callers: dict[int, Caller], path: str, what: str) -> list[Line]:
    """A page at a million jobs, and that over the same at ten thousand."""
    took: dict[int, list[float]] = {jobs: [] for jobs in callers}
    for _ in range(TURNS):
        for jobs, caller in callers.items():
            took[jobs].append(caller.milliseconds(path, ROUNDS // TURNS))
    few, many = (median(took[jobs]) for jobs in (FEW, MANY))
    ratio = median(more / less for less, more in zip(took[FEW], took[MANY], strict=True))
    return [
        Line(f"{what}: p50 ms at 1 000 000 jobs", many, 60, 20, ""),
        Line("    over that at 10 000", ratio, 1.5, 1.1, f"{many:.1f} ms against {few:.1f} ms"),
    ]


def _with_size(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}page_size=100"


def register(base: str, token: str, *, versions: int = len(VERSIONS)) -> float:
    """Register every type over one kept connection; how many a second."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    start = time.perf_counter()
    for number in range(NAMES):
        for version in VERSIONS[:versions]:
            body = {"docker_image": "count:1", "is_published": True, "manifest": _manifest(f"type-{number}", version)}
            connection.request("POST", "/v6/job-types/", json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 201, answer[:500]
    return NAMES * versions / (time.perf_counter() - start)


def _manifest(name: str, version: str) -> dict[str, Any]:
    files = [{"name": f"INPUT_{n}", "mediaTypes": ["text/plain"]} for n in range(3)]
    return {
        "seedVersion": "1.0.0",
        "job": {
            "name": name,
            "jobVersion": version,
            "packageVersion": "1.0.0",
            "title": f"Type {name}",
            "description": "Counts the words of three texts",
            "tags": ["text", "bench"],
            "maintainer": {"name": "Jane Doe", "email": "jane@example.com"},
            "timeout": 60,
            "resources": {"scalar": [{"name": "cpus", "value": 0.5}, {"name": "mem", "value": 256}]},
            "interface": {"command": "count ${INPUT_0} ${INPUT_1} ${INPUT_2}", "inputs": {"files": files}},
            "errors": [{"code": 3, "name": "no-text", "title": "No text", "description": "", "category": "data"}],
        },
    }


# Jobs of a day, made by PostgreSQL from one real job. Of every type the first three are pending, running and failed,
# so that few jobs are of as many kinds as many are; of the others one type has half. An eighth of all came to their
# state within three hours.
FILL = """
import sys, time
from accounts.queries import find_user
from django.db import connection
from jobs.models import Job
from jobs.services import JobRequest, fold_counts, submit_jobs
from jobs.services.requests import SeedPart
from jobtypes.models import Error, JobType
n = int(sys.argv[1])
cursor = connection.cursor()
cursor.execute("SET synchronous_commit = off")
job_type = JobType.objects.order_by("id").first()
part = SeedPart(job_type.pk, job_type.revisions.get().pk, {"files": {}, "json": {}}, 0)
request = JobRequest(customer="bench", region="local", classification="noop", command=["/bin/true"], seed=part)
job = Job.objects.filter(job_type__isnull=False).order_by("id").first()
if job is None:
    job_id = submit_jobs(owner=find_user("bench"), requests=[request])[0].id
    while fold_counts():
        pass
else:
    job_id = job.pk
present = Job.objects.filter(job_type__isnull=False).count()
refused, lost = Error.objects.get(name="refused").pk, Error.objects.get(name="lost").pk
data = Error.objects.filter(name="no-text").first().pk
cursor.execute(f'''
CREATE TEMPORARY TABLE drawn AS
SELECT g, t.id AS job_type_id, r.id AS revision_id, k.status, k.error_id, now() - random() * interval '1 day' AS at
FROM generate_series({present}, {n - 1}) g
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS types FROM jobtypes_jobtype) t
    ON t.place = CASE WHEN g >= 3 * t.types AND mod(g, 2) = 0 THEN 0 ELSE mod(g, t.types) END
JOIN jobtypes_jobtyperevision r ON r.job_type_id = t.id AND r.revision_num = 1
CROSS JOIN LATERAL (SELECT g / t.types AS round, mod(g * 7919::bigint, 100) AS draw) d
CROSS JOIN LATERAL (
    SELECT CASE WHEN round = 0 OR draw < 1 AND round > 2 THEN 'PENDING'
        WHEN round = 1 OR draw < 3 AND round > 2 THEN 'RUNNING'
        WHEN round = 2 OR draw < 9 AND draw > 4 THEN 'FAILED' WHEN draw < 5 THEN 'QUEUED' WHEN draw < 11 THEN 'FAILED'
        WHEN draw < 13 THEN 'CANCELED' ELSE 'COMPLETED' END AS status,
        CASE WHEN round = 2 OR draw IN (5, 6) AND round > 2 THEN {refused} WHEN draw IN (7, 8) AND round > 2 THEN {lost}
        WHEN draw IN (9, 10) AND round > 2 THEN {data} END AS error_id
) k''')
columns = [c.name for c in connection.introspection.get_table_description(cursor, "jobs_job") if c.name != "id"]
ended = "CASE WHEN d.status IN ('FAILED', 'CANCELED', 'COMPLETED') THEN d.at END"
drawn = {"uuid": "gen_random_uuid()", "recipe_id": "NULL", "ended_at": ended}
drawn |= dict.fromkeys(("status", "error_id"), "d.{}")
drawn |= dict.fromkeys(("job_type_id", "revision_id"), "d.{}")
drawn |= dict.fromkeys(("submitted_at", "queued_at", "started_at", "moved_at", "modified_at"), "d.at")
values = ", ".join(drawn.get(c, "j.{}").format(c) for c in columns)
cursor.execute(
    f"INSERT INTO jobs_job ({', '.join(columns)}) SELECT {values} FROM jobs_job j, drawn d WHERE j.id = %s", [job_id])
cursor.execute(
    "INSERT INTO jobs_countdelta (minute, job_type_id, status, error_id, number)"
    " SELECT floor(extract(epoch FROM at) / 60), job_type_id, status, coalesce(error_id, 0), count(*) FROM drawn"
    " GROUP BY 1, 2, 3, 4")
cursor.execute("VACUUM ANALYZE jobs_job")
cursor.execute("ANALYZE jobs_countdelta")
start, folded = time.perf_counter(), 0
while found := fold_counts():
    folded += found
print(folded / (time.perf_counter() - start))
cursor.execute("VACUUM ANALYZE")
"""
