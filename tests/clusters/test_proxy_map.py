"""How a proxy is told where containers are."""

from __future__ import annotations

import http.client
import io
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

from clusters import services
from clusters.models import Container
from clusters.proxy_map import Lead, nginx
from tests.clusters.stage import Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, settle
from tests.postgresql import free_port
from tests.query_budget import counted
from tests.waiting import until

pytestmark = pytest.mark.django_db


def printed(*more: str) -> str:
    out = io.StringIO()
    call_command("proxy_map", *more, stdout=out)
    return out.getvalue()


def test_clients_are_led_to_what_runs_and_takes_more() -> None:
    user = make_customer_user().user
    cluster = make_cluster(user)
    make_container(cluster, routing_key="Room-1")
    drained = make_container(cluster, routing_key="full")
    settle(keeper_of(Stage()))
    make_container(cluster, routing_key="late")
    services.drain_container(container=Container.objects.get(pk=drained.pk), actor=None, is_draining=True)
    text, name = printed("--port", "8081"), cluster.uuid.hex
    assert f"upstream fleet_{name} {{\n    server 127.0.0.1:40001;\n}}" in text
    assert f'"~^{name}/$" fleet_{name};' in text
    assert f'"~^{name}/Room-1$" 127.0.0.1:40001;' in text
    assert "full" not in text
    assert "late" not in text
    assert "listen 8081;" in text
    assert text.count("{") == text.count("}")


def test_without_containers_nobody_is_led_anywhere() -> None:
    text = printed()
    assert "upstream" not in text
    assert 'default "";' in text


def test_it_costs_the_same_for_any_number() -> None:
    cluster = make_cluster(make_customer_user().user)
    costs = []
    for count in (1, 3):
        for _ in range(count):
            make_container(cluster)
        settle(keeper_of(Stage()))
        with counted() as found:
            printed()
        costs.append(len(found))
    assert costs == [1, 1]


# --- As nginx reads it ---------------------------------------------------------------------------------------------

HERE: Final = "a" * 32
THERE: Final = "b" * 32
NOWHERE: Final = "c" * 32


class Named(socketserver.StreamRequestHandler):
    """A server that says its name and what it was asked, and gives back what comes once it was upgraded."""

    def handle(self) -> None:
        first = self.rfile.readline().decode().strip()
        headers = dict(line.split(": ", 1) for line in iter(lambda: self.rfile.readline().decode().strip(), ""))
        if headers.get("Upgrade") == "websocket" and headers["Connection"] == "upgrade":
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
            self.wfile.write(self.rfile.readline())
            return
        told = f"{self.connection.getsockname()[1]} {first}".encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(told) + told)


@contextmanager
def listening() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Named) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[int, list[int]]]:
    """The port of a proxy, and those of three servers: two of HERE, one of THERE."""
    with ExitStack() as stack:
        ports = [stack.enter_context(listening()) for _ in range(3)]
        led = zip((HERE, HERE, THERE), ("Room-1", "room-1", "only"), ports, strict=True)
        port = free_port()
        (tmp_path / "fleet.conf").write_text(
            nginx([Lead(cluster, key, f"127.0.0.1:{each}") for cluster, key, each in led], port)
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (tmp_path / "nginx.conf").write_text(
            "daemon off; pid nginx.pid; error_log stderr; events {} http { access_log off; include fleet.conf;"
            + "".join(f" {kind}_temp_path {kind};" for kind in kinds)
            + " }"
        )
        process = subprocess.Popen(
            ["nginx", "-p", str(tmp_path), "-e", "stderr", "-c", "nginx.conf"], stderr=subprocess.PIPE, text=True
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        until(lambda: process.poll() is not None or _is_open(port), what="nginx listens")
        assert process.poll() is None, process.communicate()[1]
        yield port, ports


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def asked(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.needs("nginx")
@pytest.mark.runs_once("sqlite", "no database is asked")
def test_a_proxy_leads_by_cluster_and_routing_key(proxied: tuple[int, list[int]]) -> None:
    port, (first, second, other) = proxied
    path = f"/api/v1/connect/{HERE}"
    assert asked(port, f"{path}/socket/a?b=c&routing_key=Room-1") == (
        200,
        f"{first} GET /socket/a?b=c&routing_key=Room-1 HTTP/1.1",
    )
    assert asked(port, f"{path}/x", **{"X-Routing-Key": "room-1"}) == (200, f"{second} GET /x HTTP/1.1")
    assert asked(port, f"/api/v1/connect/{THERE}/") == (200, f"{other} GET / HTTP/1.1")
    assert {asked(port, f"{path}/y")[1].split()[0] for _ in range(10)} == {str(first), str(second)}


@pytest.mark.needs("nginx")
@pytest.mark.runs_once("sqlite", "no database is asked")
@pytest.mark.parametrize("path", [f"{HERE}/x?routing_key=none", f"{NOWHERE}/x", f"{THERE}/x?routing_key=Room-1"])
def test_a_proxy_leads_nobody_to_what_is_not_there(proxied: tuple[int, list[int]], path: str) -> None:
    assert asked(proxied[0], f"/api/v1/connect/{path}")[0] == 503


@pytest.mark.needs("nginx")
@pytest.mark.runs_once("sqlite", "no database is asked")
def test_a_proxy_lets_websockets_through(proxied: tuple[int, list[int]]) -> None:
    with socket.create_connection(("127.0.0.1", proxied[0]), timeout=10) as client, client.makefile("rwb") as stream:
        stream.write(
            f"GET /api/v1/connect/{HERE}/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n\r\n".encode()
        )
        stream.flush()
        assert b"101" in stream.readline()
        while stream.readline().strip():
            pass
        stream.write(b"to and back\n")
        stream.flush()
        assert stream.readline() == b"to and back\n"
