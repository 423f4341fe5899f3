"""A media server without media: rooms and peers by HTTP, and the metrics that they would make. To try things out.

Standard library only, Python 3.9 or newer. It listens on the port that PORT_5002 or PORT names, else 5002:

    GET    /health  /version  /metrics     for everybody
    POST   /room                           a new room; its id
    POST   /peer            {"room_id"}    a new peer in a room, which sends and receives from then on; its id
    DELETE /room/<id>  /peer/<id>          with ?crashed=1 a peer has not left, but crashed

What changes something wants `Authorization: Bearer <FJ_SERVER_API_TOKEN>`; without that variable nothing starts.
`/version` answers with MEDIA_VERSION. Each request is a line of JSON on stdout. SIGTERM ends it.
"""

from __future__ import annotations

import hmac
import json
import os
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PEER_BYTES_PER_SECOND = 50_000.0  # what each peer sends, and each other one in its room is sent
LONGEST_BODY = 1 << 16
COUNTERS = ("peer_time_total_seconds", "peer_crashes_total", "peer_connects_total", "peer_disconnects_total")
Sample = tuple[str, str, float]  # the metric's name, its labels, its value


class NotThere(Exception):
    """No such room or peer."""


class Room:
    """Its peers, and its counters by the ends of their names."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.peers: set[str] = set()
        self.counters = dict.fromkeys(COUNTERS, 0.0)


class Rooms:
    """All rooms, and what goes through them. For any thread; times are seconds that never go back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._until = time.monotonic()
        self._traffic = dict.fromkeys(("egress_webrtc", "egress_http", "ingress_webrtc", "ingress_http"), 0.0)
        self._http_rates = dict.fromkeys(("egress_http", "ingress_http"), 0.0)
        self._http_before = (self._until, 0.0, 0.0)

    def open(self) -> str:
        with self._lock:
            self._advance()
            name = str(uuid.uuid4())
            self._rooms[name] = Room(self._until)
            return name

    def close(self, name: str) -> None:
        with self._lock:
            self._advance()
            if self._rooms.pop(name, None) is None:
                raise NotThere(name)

    def join(self, name: str) -> str:
        with self._lock:
            self._advance()
            if name not in self._rooms:
                raise NotThere(name)
            peer = str(uuid.uuid4())
            self._rooms[name].peers.add(peer)
            self._rooms[name].counters["peer_connects_total"] += 1
            return peer

    def leave(self, peer: str, *, crashed: bool) -> None:
        with self._lock:
            self._advance()
            for room in self._rooms.values():
                if peer in room.peers:
                    room.peers.remove(peer)
                    room.counters["peer_disconnects_total"] += 1
                    room.counters["peer_crashes_total"] += crashed
                    return
            raise NotThere(peer)

    def count_http(self, received: int, sent: int) -> None:
        with self._lock:
            self._traffic["ingress_http"] += received
            self._traffic["egress_http"] += sent

    def samples(self) -> list[Sample]:
        with self._lock:
            self._advance()
            self._measure_http()
            found: list[Sample] = [("fishjam_rooms", "", float(len(self._rooms)))]
            for name, room in self._rooms.items():
                label = f'{{room_id="{name}"}}'
                found.append(("fishjam_room_duration_seconds", label, self._until - room.began))
                found.append(("fishjam_room_peers", label, float(len(room.peers))))
                found += [(f"fishjam_room_{end}", label, value) for end, value in room.counters.items()]
            found += [(f"fishjam_traffic_{kind}_total_bytes", "", value) for kind, value in self._traffic.items()]
            ingress, egress = self._webrtc_rates()
            rates = {"ingress_webrtc": ingress, "egress_webrtc": egress, **self._http_rates}
            found += [(f"fishjam_traffic_{kind}_per_second_bytes", "", value) for kind, value in rates.items()]
            return found

    def _advance(self) -> None:
        """Count what has happened since the last time. The caller holds the lock."""
        now = time.monotonic()
        seconds, self._until = now - self._until, now
        ingress, egress = self._webrtc_rates()
        self._traffic["ingress_webrtc"] += ingress * seconds
        self._traffic["egress_webrtc"] += egress * seconds
        for room in self._rooms.values():
            room.counters["peer_time_total_seconds"] += len(room.peers) * seconds

    def _webrtc_rates(self) -> tuple[float, float]:
        sizes = [len(room.peers) for room in self._rooms.values()]
        ingress = sum(size * PEER_BYTES_PER_SECOND for size in sizes)
        return ingress, sum(size * (size - 1) * PEER_BYTES_PER_SECOND for size in sizes)

    def _measure_http(self) -> None:
        """The rates between two looks that are a second apart at least."""
        at, sent, received = self._http_before
        seconds = self._until - at
        if seconds >= 1.0:
            now_sent, now_received = self._traffic["egress_http"], self._traffic["ingress_http"]
            self._http_rates["egress_http"] = (now_sent - sent) / seconds
            self._http_rates["ingress_http"] = (now_received - received) / seconds
            self._http_before = (self._until, now_sent, now_received)


def node_samples() -> Iterator[Sample]:
    """How full the machine is, each from 0 to 1."""
    disk = shutil.disk_usage("/")
    yield "node_cpu_usage_ratio", "", min(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0)
    yield "node_filesystem_usage_ratio", "", disk.used / disk.total
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = {name: float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in file)}
    yield "node_ram_usage_ratio", "", 1 - memory["MemAvailable"] / memory["MemTotal"]


def exposition(samples: list[Sample]) -> str:
    """In Prometheus' text form: all samples of a metric together, under its type."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample[0], []).append(sample)
    lines = []
    for name, own in by_name.items():
        lines.append(f"# TYPE {name} {'counter' if '_total' in name else 'gauge'}")
        lines += [f"{name}{labels} {value:.15g}" for _, labels, value in own]
    return "\n".join(lines) + "\n"


def log(level: str, message: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")  # noqa: UP017 - for Python 3.9
    print(json.dumps({"time": now, "level": level, "message": message}), flush=True)


class Server(ThreadingHTTPServer):
    """Holds what its requests share."""

    daemon_threads = True

    def __init__(self, port: int, token: str, version: str) -> None:
        super().__init__(("0.0.0.0", port), Request)  # noqa: S104 - it is to be reached
        self.rooms = Rooms()
        self.token = token
        self.version = version


class Request(BaseHTTPRequestHandler):
    """One request after the other of a connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self._answer(200, {"status": "up"})
        elif path == "/version":
            self._send(200, "text/plain; charset=utf-8", self.server.version + "\n")
        elif path == "/metrics":
            samples = [*self.server.rooms.samples(), *node_samples()]
            self._send(200, "text/plain; version=0.0.4; charset=utf-8", exposition(samples))
        else:
            self._answer(404, {"errors": "There is nothing here."})

    def do_POST(self) -> None:
        body = self._body()
        if not self._may_change():
            return
        path = urlsplit(self.path).path
        try:
            if path == "/room":
                self._answer(201, {"id": self.server.rooms.open()})
            elif path == "/peer":
                self._answer(201, {"id": self.server.rooms.join(str(body.get("room_id", "")))})
            else:
                self._answer(404, {"errors": "There is nothing here."})
        except NotThere:
            self._answer(404, {"errors": "There is no such room."})

    def do_DELETE(self) -> None:
        self._body()
        if not self._may_change():
            return
        url = urlsplit(self.path)
        _, kind, name = [*url.path.split("/"), "", ""][:3]
        try:
            if kind == "room":
                self.server.rooms.close(name)
            elif kind == "peer":
                self.server.rooms.leave(name, crashed=parse_qs(url.query).get("crashed") == ["1"])
            else:
                raise NotThere(name)
        except NotThere:
            self._answer(404, {"errors": "There is no such room or peer."})
        else:
            self._send(204, "", "")

    def _may_change(self) -> bool:
        given = self.headers.get("Authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            return True
        self._answer(401, {"errors": "This wants the token of this server."})
        return False

    def _body(self) -> dict[str, Any]:
        """What was sent, an empty one for what is no object of JSON. It is read also where nobody wants it."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            return {}
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self._send(status, "application/json", json.dumps(content))

    def _send(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        length = self.headers.get("Content-Length", "0")
        received = len(bytes(self.headers)) + (int(length) if length.isdecimal() else 0)
        self.server.rooms.count_http(received, len(content))

    def log_message(self, format: str, *args: Any) -> None:
        log("info", f"{self.client_address[0]} {format % args}")


def main() -> int:
    token = os.environ.get("FJ_SERVER_API_TOKEN", "")
    if not token:
        log("error", "FJ_SERVER_API_TOKEN is not set: give this server a token.")
        return 1
    port = int(os.environ.get("PORT_5002") or os.environ.get("PORT") or 5002)
    server = Server(port, token, os.environ.get("MEDIA_VERSION", ""))
    # From another thread: a server waits for its own loop to end.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log("info", f"listening on port {server.server_address[1]}")
    server.serve_forever(poll_interval=0.2)
    server.server_close()
    log("info", "ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
