"""The event log at scale: reading on from anywhere in it costs the same, and many follow it at once."""

from __future__ import annotations

import http.client
import random
import subprocess
import sys
import time
from typing import Final
from urllib.parse import urlsplit

import psutil
import psycopg

from tests import environment
from tests.bench import cpu
from tests.bench.followers import connections_to
from tests.bench.line import Line
from tests.bench.rig import Rig

EVENTS: Final = 10_000_000
ASKED: Final = 100
READERS: Final = 200
CONNECTIONS: Final = 8
TOLD: Final = 60
FILL: Final = """
INSERT INTO accounts_event (at, kind, subject_kind, subject_id, customer_id, before, after, position)
SELECT now(), CASE WHEN n %% 1000 = 0 THEN 'hold.placed' ELSE 'job.moved' END,
    CASE WHEN n %% 1000 = 0 THEN 'hold' ELSE 'job' END, n / 5, CASE WHEN n %% 1000 = 0 THEN NULL ELSE n / 100000 END,
    '{"status": "QUEUED"}', '{"status": "STARTING"}', %(first)s + n
FROM generate_series(1, %(count)s) AS n
"""
# What no answer can do without: the same events brought from the server as text, and nothing made of them.
_FETCH: Final = """
SELECT position, at::text, kind, subject_kind, subject_id, customer_id, before::text, after::text
FROM accounts_event WHERE position > %s ORDER BY position LIMIT 1000
"""
_ONE: Final = """
INSERT INTO accounts_event (at, kind, subject_kind, subject_id, after)
VALUES (now(), 'job.moved', 'job', %s, '{"status": "STARTING"}')
"""


def events(url: str, rows: int = EVENTS) -> list[Line]:
    """GET /v6/events/ of 1 000 events from anywhere in `rows`, all of them and by kind, over HTTP; p95 milliseconds."""
    rig = Rig(WEB_WORKERS="1")
    try:
        with psycopg.connect(rig.deployment.database_url, autocommit=True) as database:
            database.execute("DELETE FROM accounts_event")
            database.execute(FILL, {"first": 0, "count": rows})
            row = "INSERT INTO accounts_follower (name, position, moved_at, failures) VALUES ('numbered', %s, now(), 0)"
            database.execute(f"{row} ON CONFLICT (name) DO UPDATE SET position = %s".encode(), [rows, rows])
            database.execute("VACUUM ANALYZE accounts_event")
            base = rig.deployment.start_web(WEB_WORKERS="1")
            asked = ("1 000 events", "", 30), ("1 000 of a kind", "&kind=job.moved", 40), ("a job", "&job=1000", 30)
            web = cpu.listener(int(base.rpartition(":")[2]))
            found = []
            for what, query, accept in asked:
                before = cpu.tree([web])
                took = _took(base, rig.token, query, rows)
                each = (cpu.tree([web]) - before) / len(took) * 1000
                note = f"of {rows}, one caller; p50 {took[len(took) // 2]:.1f} ms; {each:.1f} ms of its CPU"
                found.append((what, took[int(len(took) * 0.95)], accept, note))
            limit = _fetched(database, rows)
        return [
            *(
                Line(f"GET /v6/events/, {what}: p95 ms", figure, accept, 15, note)
                for what, figure, accept, note in found
            ),
            Line("1 000 events over HTTP over fetching them as text with psycopg, p95", found[0][1] / limit, 15, 5,
                 f"{limit:.1f} ms"),
        ]  # fmt: skip
    finally:
        rig.stop()


def _took(base: str, token: str, query: str, rows: int) -> list[float]:
    """Milliseconds of each answer, in order."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    took = []
    for turn in range(ASKED + 5):
        path = f"/v6/events/?limit=1000&after={random.randrange(rows - 20_000)}{query}"
        start = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        if turn >= 5:  # the first warm it up
            took.append((time.perf_counter() - start) * 1000)
    return sorted(took)


def _fetched(database: psycopg.Connection[tuple[object, ...]], rows: int) -> float:
    took = []
    for _ in range(ASKED):
        start = time.perf_counter()
        found = database.execute(_FETCH, [random.randrange(rows - 20_000)], prepare=True).fetchall()
        took.append((time.perf_counter() - start) * 1000)
        assert len(found) == 1000
    return sorted(took)[int(len(took) * 0.95)]


def streams(url: str) -> list[Line]:
    """Readers of /v6/events/stream/ on one web process, in a process of their own; an event comes now and then."""
    settings: dict[str, str] = {"WEB_WORKERS": "1", "WEB_THREADS": "288", "WEB_DATABASE_CONNECTIONS": str(CONNECTIONS)}
    rig = Rig(**settings)
    try:
        base = rig.deployment.start_web()
        [web] = psutil.Process(cpu.listener(int(base.rpartition(":")[2]))).children()
        _took(base, rig.token, "", 20_001)  # warms it up
        before = web.memory_info().rss / 2**20
        command = [sys.executable, "-c", _READ, base.removeprefix("http://"), rig.token, str(READERS), str(TOLD)]
        with (
            subprocess.Popen(command, cwd=environment.CHECKOUT, stdout=subprocess.PIPE, text=True) as process,
            psycopg.connect(rig.deployment.database_url, autocommit=True) as database,
        ):
            assert process.stdout is not None
            assert process.stdout.readline() == "all have begun\n"
            used, connections = sum(web.cpu_times()[:2]), 0
            start = time.monotonic()
            for number in range(TOLD):
                database.execute(_ONE, [number])
                time.sleep(0.05 + number * 37 % 100 / 200)  # some come together, some after a rest
                connections = max(connections, connections_to(rig) - 1)  # ours
            used = (sum(web.cpu_times()[:2]) - used) / (time.monotonic() - start)
            memory = web.memory_info().rss / 2**20
            p50, p95 = map(float, process.stdout.readline().split())
        what = f"{READERS} streams of events"
        return [
            Line(f"{what}: memory they add to the web process, MiB", memory - before, 100, 30, f"{before:.0f} before"),
            Line(f"{what}: memory of the web process, MiB", memory, 150, 120, f"they take {used:.2f} CPUs"),
            Line(f"{what}: database connections", connections, CONNECTIONS, 2, ""),
            Line(f"{what}: commit to arrival, p50 ms", p50, 600, 300, f"{TOLD} events, each to all"),
            Line(f"{what}: commit to arrival, p95 ms", p95, 1000, 600, "looks are 200 to 500 ms apart"),
        ]
    finally:
        rig.stop()


# Lags are by the event's own time, which is that of its statement: the commit is a millisecond later.
_READ = """
import datetime, json, selectors, socket, sys, time
host, token, count, told = sys.argv[1:]
name, port = host.split(":")
selector, parts, begun, lags = selectors.DefaultSelector(), {}, set(), []
for n in range(int(count)):
    connection = socket.create_connection((name, int(port)))
    head = ["GET /v6/events/stream/ HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"]
    connection.sendall("\\r\\n".join([*head, "\\r\\n"]).encode())
    selector.register(connection, selectors.EVENT_READ)
    parts[connection] = b""
while len(lags) < int(count) * int(told):
    for key, _ in selector.select():
        piece = key.fileobj.recv(65536)
        assert piece, "a stream ended"
        now = time.time()
        *lines, parts[key.fileobj] = (parts[key.fileobj] + piece).split(b"\\n")
        for line in lines:
            if line.startswith(b"id: ") and key.fileobj not in begun:
                begun.add(key.fileobj)
                if len(begun) == int(count):
                    print("all have begun", flush=True)
            if line.startswith(b"data: "):
                at = json.loads(line[6:])["at"].replace("Z", "+00:00")
                lags.append((now - datetime.datetime.fromisoformat(at).timestamp()) * 1000)
lags.sort()
print(lags[len(lags) // 2], lags[int(len(lags) * 0.95)], flush=True)
"""
