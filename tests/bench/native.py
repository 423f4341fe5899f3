"""The native surface and the admin at a million jobs, beside the same at ten thousand and the bare view."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

from tests import environment
from tests.bench import cpu
from tests.bench.line import Line
from tests.bench.rig import Rig
from tests.deployment import _answers
from tests.postgresql import free_port

FEW: Final = 10_000
MANY: Final = 1_000_000
ROUNDS: Final = 60


class Caller:
    """One kept connection, and how long its answers take."""

    def __init__(self, base: str, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=120)
        self._headers = headers or {}

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status == 200, (path, response.status, answer[:500])
        return answer

    def milliseconds(self, path: str, rounds: int = ROUNDS) -> float:
        """The median over some rounds, the first ones left out."""
        took: list[float] = []
        for _ in range(rounds + 5):
            start = time.perf_counter()
            self.get(path)
            took.append((time.perf_counter() - start) * 1000)
        return statistics.median(took[5:])


def _start_peer(rig: Rig) -> tuple[str, subprocess.Popen[bytes]]:
    """The bare keyset view over our own table, on the same kind of server."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "tests.bench.peer.wsgi", "-k", "gthread", "-w", "2", "--threads", "8"]
    command += ["-b", f"127.0.0.1:{port}", "--keep-alive", "30", "--log-level", "error", "--no-control-socket"]
    env = {**rig.deployment.env, "DJANGO_SETTINGS_MODULE": "tests.bench.peer.settings", "PYTHONPATH": "."}
    process = subprocess.Popen(command, cwd=environment.CHECKOUT, env=env)
    assert _answers(process, port), "the peer did not start"
    return f"http://127.0.0.1:{port}", process


def _deep(caller: Caller, rig: Rig) -> tuple[str, str]:
    """A page deep inside the list, as `next` leads there, and the same page of the bare view."""
    first = json.loads(caller.get("/v6/jobs/?page_size=100"))
    middle = rig.deployment.rows(
        "SELECT modified_at, id FROM jobs_job ORDER BY modified_at, id"
        " OFFSET (SELECT count(*) / 2 FROM jobs_job) LIMIT 1"
    )[0]
    assert first["next"], "one page holds everything"
    after = rig.python(_KEY, middle[0].isoformat(), str(middle[1])).strip()
    moment = middle[0].isoformat().replace("+", "%2B")
    return f"/v6/jobs/?page_size=100&page=5000&after={after}", f"/keyset?t={moment}&id={middle[1]}"


def _poll(caller: Caller, rig: Rig) -> tuple[float, float]:
    """A poll of one ended job, native and Mapsor's."""
    job = rig.deployment.rows("SELECT uuid FROM jobs_job WHERE status = 'COMPLETED' ORDER BY id LIMIT 1")[0][0]
    return caller.milliseconds(f"/v6/jobs/{job}/"), caller.milliseconds(f"/status/{job}")


def pages(url: str) -> list[Line]:
    """Lists and polls."""
    rig = Rig(WEB_WORKERS="2")
    try:
        base = rig.deployment.start_web(WEB_WORKERS="2")
        found: dict[int, dict[str, float]] = {}
        for jobs in (FEW, MANY):
            rig.python(_FILL, str(jobs))
            peer_url, peer = _start_peer(rig)
            try:
                caller = Caller(base, {"Authorization": f"Bearer {rig.token}"})
                found[jobs] = _measure(caller, Caller(peer_url), rig)
            finally:
                peer.terminate()
                peer.wait()
        return _lines(found[FEW], found[MANY])
    finally:
        rig.stop()


def _measure(caller: Caller, bare: Caller, rig: Rig) -> dict[str, float]:
    deep, bare_deep = _deep(caller, rig)
    native, mapsor = _poll(caller, rig)
    return {
        "first": caller.milliseconds("/v6/jobs/?page_size=100"),
        "deep": caller.milliseconds(deep),
        "failed": caller.milliseconds("/v6/jobs/?page_size=100&status=FAILED"),
        "bare first": bare.milliseconds("/keyset"),
        "bare deep": bare.milliseconds(bare_deep),
        "poll": native,
        "mapsor poll": mapsor,
        **_admin(rig, caller),
    }


def signed_in(rig: Rig, base: str) -> Caller:
    """A caller with the session of an admin."""
    return Caller(base, {"Cookie": f"sessionid={rig.python(_SESSION).strip()}"})


def _admin(rig: Rig, caller: Caller) -> dict[str, float]:
    """The admin's list and a job's page, and the queries they show, bare."""
    staff = signed_in(rig, f"http://{caller._connection.host}:{caller._connection.port}")
    job = rig.deployment.rows("SELECT id FROM jobs_job WHERE status = 'COMPLETED' ORDER BY id DESC LIMIT 1")[0][0]
    return {
        "admin list": staff.milliseconds("/admin/jobs/job/"),
        "admin job": staff.milliseconds(f"/admin/jobs/job/{job}/change/"),
    }


def _lines(few: dict[str, float], many: dict[str, float]) -> list[Line]:
    def grown(what: str, name: str, accept: float = 1.5) -> Line:
        note = f"{many[name]:.1f} ms against {few[name]:.1f} ms"
        return Line(f"{what}: 1 000 000 jobs over 10 000", many[name] / few[name], accept, 1.1, note)

    def beside(what: str, name: str, bare: str, accept: float) -> Line:
        note = f"{many[name]:.1f} ms against {many[bare]:.1f} ms"
        return Line(f"{what}: over the bare keyset view", many[name] / many[bare], accept, accept / 2, note)

    return [
        grown("GET /v6/jobs/, first page", "first"),
        grown("GET /v6/jobs/, deep page", "deep"),
        # One in five fails here: counting exactly to 10 000 looks at five times as many rows.
        grown("GET /v6/jobs/?status=FAILED", "failed", 2.0),
        beside("GET /v6/jobs/, first page", "first", "bare first", 3),
        beside("GET /v6/jobs/, deep page", "deep", "bare deep", 3),
        grown("GET /v6/jobs/{id}/", "poll"),
        grown("GET /status/{id}", "mapsor poll"),
        beside("admin: list of jobs", "admin list", "bare first", 6),
        beside("admin: page of a job", "admin job", "bare first", 6),
    ]


# --- Bulk create and bulk cancel -------------------------------------------------------------------


def http_bulk(url: str) -> list[Line]:
    """1 000 jobs per call, over HTTP."""
    rig = Rig(WEB_WORKERS="2")
    try:
        base = rig.deployment.start_web(WEB_WORKERS="2")
        ours = cpu.listener(int(base.rpartition(":")[2]))
        job = {"customer": "bench", "classification": "noop", "command": ["/bin/true"], "tags": {"team": "x"}}
        body = json.dumps([job] * 1000).encode()
        connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {rig.token}", "Content-Type": "application/json"}

        def calls(count: int) -> int:
            for _ in range(count):
                connection.request("POST", "/v6/jobs/", body, headers)
                response = connection.getresponse()
                answer = response.read()
                assert response.status == 201, answer[:300]
            return count * 1000

        calls(3)
        rounds = [cpu.measure([ours, rig.postgres], lambda: calls(10)) for _ in range(3)]
        rate = statistics.median(done.result / done.wall for done in rounds)
        each = statistics.median(done.watched / done.result * 1000 for done in rounds)
        return [
            Line("POST /v6/jobs/ of 1 000: jobs/s", rate, 5000, 10_000, "one caller", more=True),
            Line("POST /v6/jobs/ of 1 000: CPU ms per job, with PostgreSQL", each, 0.3, 0.15, ""),
        ]
    finally:
        rig.stop()


def cancel(url: str) -> list[Line]:
    """A cancel of 100 000 queued jobs by filter, and how long a fresh submit waits meanwhile."""
    rig = Rig(LOCAL_ISOLATION="0", LOCAL_VCPUS="2")
    try:
        rig.start_work()
        base = rig.deployment.start_web(WEB_WORKERS="2")
        rig.python(_QUEUE, "100000")
        connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {rig.token}", "Content-Type": "application/json"}

        def call(method: str, path: str, body: Any = None) -> Any:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status < 300, (path, answer[:300])
            return json.loads(answer)

        start = time.monotonic()
        operation = call("POST", "/v6/jobs/cancel/", {"customer": "many"})["id"]
        fresh: list[tuple[str, float]] = []
        while call("GET", f"/v6/operations/{operation}/")["status"] not in ("COMPLETED", "FAILED"):
            asked = time.time()
            job = {"customer": "fresh", "classification": "x", "command": ["/bin/true"], "priority": 1}
            fresh.append((call("POST", "/v6/jobs/", job)["uuid"], asked))
            time.sleep(0.2)
            assert time.monotonic() - start < 300, "the cancel does not end"
        took = time.monotonic() - start
        told = call("GET", f"/v6/operations/{operation}/")
        assert told["done"] == 100_000, told
        time.sleep(2)
        began = dict(rig.deployment.rows(
            "SELECT j.uuid::text, extract(epoch FROM e.started_at)::float FROM jobs_job j"
            " JOIN jobs_execution e ON e.job_id = j.id JOIN accounts_customer c ON c.id = j.customer_id"
            " WHERE c.name = 'fresh'"
        ))  # fmt: skip
        waits = [(began[uuid] - asked) * 1000 for uuid, asked in fresh]
        note = f"{len(fresh)} submits meanwhile, median {statistics.median(waits):.0f} ms"
        return [
            Line("cancel of 100 000 queued jobs by filter, s", took, 30, 10, f"{100_000 / took:.0f} jobs/s"),
            Line("longest wait of a fresh submit meanwhile, ms", max(waits), 500, 100, note),
        ]
    finally:
        rig.stop()


_KEY = """
import base64, json, sys
values = [sys.argv[1], int(sys.argv[2])]
print(base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("="))
"""

# Ended jobs of a day, as a deployment's history looks: inserted by PostgreSQL itself, from one real job.
_FILL = """
import sys
from accounts.queries import find_user
from django.db import connection
from jobs.services import JobRequest, submit_jobs
n = int(sys.argv[1])
owner = find_user("bench")
request = JobRequest(customer="bench", region="local", classification="noop", command=["/bin/true"], tags={"team": "x"})
job = submit_jobs(owner=owner, requests=[request])[0]
columns = [c.name for c in connection.introspection.get_table_description(connection.cursor(), "jobs_job")]
drawn = {
    "uuid": "gen_random_uuid()",
    "status": "CASE WHEN mod(g, 5) = 0 THEN 'FAILED' ELSE 'COMPLETED' END",
    "classification": "'class-' || mod(g, 50)",
    "submitted_at": "submitted_at - (%(n)s - g) * interval '80 ms'",
    "queued_at": "submitted_at - (%(n)s - g) * interval '80 ms'",
    "started_at": "submitted_at - (%(n)s - g) * interval '80 ms'",
    "ended_at": "submitted_at - (%(n)s - g) * interval '80 ms' + interval '1 s'",
    "moved_at": "submitted_at - (%(n)s - g) * interval '80 ms' + interval '1 s'",
    "modified_at": "submitted_at - (%(n)s - g) * interval '80 ms' + interval '1 s'",
}
kept = [c for c in columns if c != "id"]
values = ", ".join(drawn.get(c, c).replace("%(n)s", str(n)) for c in kept)
with connection.cursor() as cursor:
    cursor.execute("SET synchronous_commit = off")
    cursor.execute(
        f"INSERT INTO jobs_job ({', '.join(kept)}) SELECT {values} FROM jobs_job, generate_series(1, %s) g"
        " WHERE jobs_job.id = %s", [n - 1, job.id])
    cursor.execute("VACUUM ANALYZE jobs_job")
"""

_QUEUE = """
import sys
from accounts.queries import find_user
from jobs.services import JobRequest, submit_jobs, set_cap
from accounts.services import ensure_customer
n = int(sys.argv[1])
set_cap(scope="customer", scope_id=str(ensure_customer("many")), max_jobs=0)
owner = find_user("bench")
request = JobRequest(customer="many", region="local", classification="noop", command=["/bin/true"])
for start in range(0, n, 10_000):
    submit_jobs(owner=owner, requests=[request] * 10_000)
from django.db import connection
connection.cursor().execute("VACUUM ANALYZE")
"""

_SESSION = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from accounts.queries import find_user
user = find_user("bench")
store = import_module(settings.SESSION_ENGINE).SessionStore()
store[SESSION_KEY] = str(user.pk)
store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.create()
print(store.session_key)
"""
