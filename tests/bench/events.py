"""The event log at scale: reading on from anywhere in it costs the same."""

from __future__ import annotations

import http.client
import random
import time
from typing import Final
from urllib.parse import urlsplit

import psycopg

from tests.bench.line import Line
from tests.bench.rig import Rig

EVENTS: Final = 2_000_000
ASKED: Final = 100
_FILL: Final = """
INSERT INTO accounts_event (at, kind, subject_kind, subject_id, customer_id, before, after, position)
SELECT now(), CASE WHEN n %% 1000 = 0 THEN 'hold.placed' ELSE 'job.moved' END,
    CASE WHEN n %% 1000 = 0 THEN 'hold' ELSE 'job' END, n / 5, CASE WHEN n %% 1000 = 0 THEN NULL ELSE n / 100000 END,
    '{"status": "QUEUED"}', '{"status": "STARTING"}', n
FROM generate_series(1, %s) AS n
"""


def events(url: str) -> list[Line]:
    """GET /v6/events/ of 1 000 events from anywhere, all of them and by kind, over HTTP; p95 milliseconds."""
    rig = Rig(WEB_WORKERS="1")
    try:
        with psycopg.connect(rig.deployment.database_url, autocommit=True) as database:
            database.execute("DELETE FROM accounts_event")
            database.execute(_FILL, [EVENTS])
            row = "INSERT INTO accounts_follower VALUES ('numbered', %s) ON CONFLICT (name) DO UPDATE SET position = %s"
            database.execute(row, [EVENTS, EVENTS])
            database.execute("VACUUM ANALYZE accounts_event")
        base = rig.deployment.start_web(WEB_WORKERS="1")
        return [
            Line(f"GET /v6/events/, {what}: p95 ms", _p95(base, rig.token, query), 30, 15, f"of {EVENTS}, one caller")
            for what, query in (("1 000 events", ""), ("1 000 of a kind", "&kind=job.moved"), ("a job", "&job=1000"))
        ]
    finally:
        rig.stop()


def _p95(base: str, token: str, query: str) -> float:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    took = []
    for turn in range(ASKED + 5):
        path = f"/v6/events/?limit=1000&after={random.randrange(EVENTS - 20_000)}{query}"
        start = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        if turn >= 5:  # the first warm it up
            took.append((time.perf_counter() - start) * 1000)
    return sorted(took)[int(len(took) * 0.95)]
