from __future__ import annotations

import http.client
import json
import runpy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from controlplane.core.connections import refusal_after
from tests.deployment import Deployment, present_database
from tests.environment import CHECKOUT

on_postgresql = pytest.mark.skipif(present_database() != "postgresql", reason="only PostgreSQL has a pool")


def exhausted() -> OperationalError:
    error = OperationalError("couldn't get a connection")
    error.__cause__ = PoolTimeout()
    return error


def test_only_an_exhausted_pool_is_a_reason_to_come_again() -> None:
    refusal = refusal_after(exhausted())
    assert refusal is not None
    assert (refusal.http_status, refusal.retry_after_seconds) == (503, 5)
    for other in (OperationalError("deadlock"), InterfaceError("closed"), ValueError()):
        assert refusal_after(other) is None


def test_the_web_server_and_the_settings_agree_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IS_WEB_PROCESS", "")  # what is set here is taken back with the test
    found = runpy.run_path(str(CHECKOUT / "deploy" / "gunicorn.conf.py"))
    assert found["threads"] == settings.WEB_THREADS
    assert found["threads"] > settings.FOLLOWERS_AT_MOST > found["threads"] // 2


# --- A web server with its own database ------------------------------------------------------------


@pytest.fixture
def place(deployment: Callable[..., Deployment]) -> Deployment:
    made = deployment(WEB_DATABASE_CONNECTIONS="2")
    made.bootstrap("root")
    made.start_web()
    return made


class Caller:
    def __init__(self, place: Deployment) -> None:
        self.place = place
        self.token = place.token

    def __call__(self, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection(urlsplit(self.place.base_url).netloc, timeout=60)) as connection:
            given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
            connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, given)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()


@on_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_when_all_connections_are_busy_a_request_is_told_to_come_again(place: Deployment) -> None:
    call = Caller(place)
    assert call("/v6/jobs/")[0] == 200
    with ThreadPoolExecutor() as threads, psycopg.connect(place.database_url) as other:
        other.execute("LOCK TABLE accounts_apitoken IN ACCESS EXCLUSIVE MODE")
        slow = [threads.submit(call, "/v6/jobs/") for _ in range(2)]
        _until(lambda: place.rows(_WAITING) == [(2,)])
        session = {"Authorization": "", "Cookie": "sessionid=00000000000000000000000000000000"}
        refused = [
            threads.submit(call, "/v6/jobs/"),
            threads.submit(call, "/status/1"),
            threads.submit(call, "/admin/", **session),
        ]
        for each in refused:
            status, headers, body = each.result()
            assert (status, headers.get("Retry-After")) == (503, "5"), body
        assert b'"code":"UNAVAILABLE"' in refused[0].result()[2]
        assert b'"code":"UNAVAILABLE"' in refused[1].result()[2]
        other.rollback()
        assert [each.result()[0] for each in slow] == [200, 200]
    assert call("/v6/jobs/")[0] == 200


@on_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_after_the_database_has_dropped_all_connections_requests_are_served_at_once(place: Deployment) -> None:
    call = Caller(place)
    with ThreadPoolExecutor() as threads:
        for _ in range(3):
            assert {status for status, _, _ in threads.map(call, ["/v6/jobs/"] * 8)} == {200}
            assert place.rows(_OURS)[0][0] in (1, 2)
            place.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OTHERS}")
            assert call("/v6/jobs/")[0] == 200


_OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"
_OURS = f"SELECT count(*) FROM pg_stat_activity WHERE {_OTHERS}"
_WAITING = f"{_OURS} AND wait_event_type = 'Lock'"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_web_server_that_is_told_to_go_does_not_wait_for_its_streams(place: Deployment) -> None:
    call = Caller(place)
    body = {"customer": "acme", "classification": "x", "command": ["true"]}
    status, headers, answer = call("/v6/jobs/", body)
    assert status == 201, answer
    path = f"{urlsplit(headers['Location']).path}logs/combined/"
    with closing(http.client.HTTPConnection(urlsplit(place.base_url).netloc, timeout=60)) as connection:
        wanted = {"Authorization": f"Bearer {call.token}", "Accept": "text/event-stream"}
        connection.request("GET", path, headers=wanted)
        response = connection.getresponse()
        assert response.status == 200
        assert next(_events(response)) == "event: status"
        if place.database == "postgresql":
            _until(lambda: place.rows(f"{_OURS} AND state <> 'idle'") == [(0,)])
        begun = time.monotonic()
        place.end_manage("web0")
        assert time.monotonic() - begun < 8
        assert "event: reconnect" in list(_events(response))


def _events(response: http.client.HTTPResponse) -> Iterator[str]:
    while line := response.readline():
        if line.startswith(b"event:"):
            yield line.decode().strip()


def _until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.02)
